"""The same numbers on several devices as on one, for the same global batch."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.apps.distribution.processes import finish, started

STRATEGY = {"tensorflow": "mirrored", "jax": "data_parallel"}


@pytest.fixture
def strategy():
    backend = keras.backend.backend()
    if backend not in STRATEGY:
        pytest.skip("needs TensorFlow or JAX")
    return STRATEGY[backend]


def command(*arguments):
    return [
        sys.executable,
        "-m",
        "tests.apps.distribution.measure",
        *map(str, arguments),
    ]


def measure(*arguments):
    done = subprocess.run(command(*arguments), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(arguments[3])


def check(one, several, rtol):
    assert one.files == several.files
    assert len(one.files) > 1
    for field in set(one.files) - {"replicas"}:
        expected, value = one[field], several[field]
        tolerance = rtol * np.max(np.abs(expected))
        np.testing.assert_allclose(value, expected, rtol, tolerance, err_msg=field)


def cases(*norms):
    return [f"{network}/{norm}" for network in ("cnn", "dln") for norm in norms]


# The changes of gradients that covariate shift takes the norm of are rounding in part.
FLOAT32 = ("float32", "landscape,statistics,training")
FLOAT64 = ("float64", "landscape,shift,activations,statistics,training")


@pytest.mark.slow
def test_float32(strategy, tmp_path):
    measured = (*cases("none", "bn", "l1", "linf"), "vgg/bn")
    one = measure("none", *FLOAT32, tmp_path / "one.npz", *measured)
    two = measure(strategy, *FLOAT32, tmp_path / "two.npz", *measured)
    assert (one["replicas"], two["replicas"]) == (1, 2)
    check(one, two, 1e-4)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("norm", ["bn", "l2"])
def test_float64(strategy, norm, tmp_path):
    one = measure("none", *FLOAT64, tmp_path / "one.npz", *cases(norm))
    two = measure(strategy, *FLOAT64, tmp_path / "two.npz", *cases(norm))
    check(one, two, 1e-9)


@pytest.mark.slow
@pytest.mark.usefixtures("on_jax")
def test_two_processes(tmp_path):
    measured = cases("none", "bn")
    one = measure("none", *FLOAT32, tmp_path / "one.npz", *measured)
    paths = [tmp_path / "process0.npz", tmp_path / "process1.npz"]
    commands = [command("data_parallel", *FLOAT32, p, *measured) for p in paths]
    with started(commands) as processes:
        finish(processes)
    for path in paths:
        two = np.load(path)
        assert two["replicas"] == 2
        check(one, two, 1e-4)
