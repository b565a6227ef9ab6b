"""The same numbers on several devices as on one, for the same global batch."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.distribution.processes import started

STRATEGY = {"tensorflow": "mirrored", "jax": "data_parallel"}


@pytest.fixture
def strategy():
    backend = keras.backend.backend()
    if backend not in STRATEGY:
        pytest.skip("needs TensorFlow or JAX")
    return STRATEGY[backend]


def command(*arguments):
    return [sys.executable, "-m", "tests.distribution.measure", *map(str, arguments)]


def measure(strategy, dtype, path, *norms):
    done = subprocess.run(
        command(strategy, dtype, path, *norms), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return np.load(path)


def check(one, several, rtol, parts):
    compared = 0
    assert one.files == several.files
    for field in one.files:
        part = field.split("/")[2:3]
        if part and part[0] in parts:
            expected, value = one[field], several[field]
            tolerance = rtol * np.max(np.abs(expected))
            np.testing.assert_allclose(value, expected, rtol, tolerance, err_msg=field)
            compared += 1
    assert compared


@pytest.mark.slow
def test_float32(strategy, tmp_path):
    # The changes of gradients that ICS takes the norm of are rounding in part.
    norms = ("none", "bn", "l1", "linf")
    if strategy == "data_parallel":
        norms = ("none", "l1", "linf")  # test_two_processes has bn; XLA takes long
    one = measure("none", "float32", tmp_path / "one.npz", *norms)
    two = measure(strategy, "float32", tmp_path / "two.npz", *norms)
    assert (one["replicas"], two["replicas"]) == (1, 2)
    check(one, two, 1e-4, ("landscape", "training"))


@pytest.mark.slow
def test_float64(strategy, tmp_path):
    # On JAX Keras takes the means of batch normalization in single precision.
    norms = ("bn", "l2") if strategy == "mirrored" else ("l2",)
    one = measure("none", "float64", tmp_path / "one.npz", *norms)
    two = measure(strategy, "float64", tmp_path / "two.npz", *norms)
    check(one, two, 1e-9, ("landscape", "shift", "activations", "training"))


@pytest.mark.slow
@pytest.mark.usefixtures("on_jax")
def test_two_processes(tmp_path):
    one = measure("none", "float32", tmp_path / "one.npz", "bn")
    paths = [tmp_path / "process0.npz", tmp_path / "process1.npz"]
    commands = [command("data_parallel", "float32", p, "bn") for p in paths]
    with started(commands) as processes:
        for process in processes:
            output, _ = process.communicate(timeout=600)
            assert process.returncode == 0, output
    for path in paths:
        two = np.load(path)
        assert two["replicas"] == 2
        check(one, two, 1e-4, ("landscape", "training"))
