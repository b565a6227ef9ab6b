"""Precision, in separate processes, since it applies to the whole process."""

import subprocess
import sys

import keras
import pytest

SQUARE_ROOT = """
import keras, numpy as np
from apps.training.environment import set_precision
set_precision("float64")
layer = keras.layers.Dense(1, kernel_initializer=lambda *a, **k: np.full((1, 1), 2**.5))
print(float(layer(np.full((1, 1), 2**0.5))[0, 0]) - 2)
"""


@pytest.mark.tensorflow
def test_products_are_in_double_precision():
    done = subprocess.run(
        [sys.executable, "-c", SQUARE_ROOT], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert abs(float(done.stdout)) < 1e-15


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="not refused there")
def test_double_precision_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "apps.train_dln", "--dtype=float64"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: float64 is not supported on the {keras.backend.backend()} backend, "
        "where Keras rounds to float32; set KERAS_BACKEND to tensorflow, or pass "
        "--dtype=float32.\n"
    )
