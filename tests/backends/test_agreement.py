"""The same weights and batch give the same numbers on every backend."""

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

INSTALLED = [b for b in ("tensorflow", "jax", "torch") if importlib.util.find_spec(b)]
MEASURE = Path(__file__).with_name("measure.py")
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        len(INSTALLED) < 2,
        reason=f"needs two backends of tensorflow, jax and torch; has {INSTALLED}",
    ),
]


def measure(how, models):
    """Returns what each backend measures, given its directory of models."""
    with ThreadPoolExecutor() as executor:
        measured = executor.map(partial(measure_on, how), models, models.values())
        return dict(zip(models, measured, strict=True))


def measure_on(how, backend, models):
    path = models.with_name(f"{how}_{backend}.npz")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(MEASURE), how, str(models), str(path)]
    subprocess.run(command, check=True, env=environment)
    with np.load(path) as file:
        return dict(file)


def check_same(found, expected):
    """Relative to the largest entry of a field: rounding is, where terms cancel."""
    assert found
    for name, value in found.items():
        tolerance = 1e-5 if name.startswith("layer/") else 1e-4
        if "/sharpness/" in name:
            tolerance = 1e-3
        scale = np.nanmax(np.abs(expected[name]), initial=0.0)
        np.testing.assert_allclose(
            value, expected[name], rtol=0, atol=tolerance * scale, err_msg=name
        )


def test_probes_layers_and_saved_models_agree(tmp_path):
    models = {backend: tmp_path / backend for backend in INSTALLED}
    for directory in models.values():
        directory.mkdir()
    built = measure("build", models)
    for backend in INSTALLED:
        check_same(built[backend], built[INSTALLED[0]])
    # Each backend loads what the one before it saved; the first, that of the last.
    saver = dict(zip(INSTALLED, INSTALLED[-1:] + INSTALLED[:-1], strict=True))
    loaded = measure("load", {backend: models[saver[backend]] for backend in INSTALLED})
    for backend in INSTALLED:
        check_same(loaded[backend], built[saver[backend]])
