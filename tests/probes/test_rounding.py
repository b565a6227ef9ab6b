"""Rounding is not curvature: the deep linear network at the paper's settings."""

import itertools

import keras
import numpy as np
import pytest

from apps.data import linear_teacher
from keras_bnsmooth import probes
from keras_bnsmooth.models import dln

LEARNING_RATE = 1e-6

# The reference is computed in float64.
pytestmark = pytest.mark.tensorflow


def build(norm, dtype):
    model = dln(norm=norm, seed=0, dtype=dtype)
    loss = keras.losses.MeanSquaredError(reduction="sum", dtype=dtype)
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss, steps_per_execution=100)
    return model


def twin_in_float64(model, norm):
    twin = build(norm, "float64")
    twin.set_weights([w.astype("float64") for w in model.get_weights()])
    return twin


def check(norm, steps):
    x, y = linear_teacher(samples=1000, dim=10, seed=0)
    model = build(norm, "float32")
    if steps:
        batches = ((x, y) for _ in itertools.count())
        model.fit(batches, steps_per_epoch=steps, verbose=0)
    step_sizes = LEARNING_RATE * np.geomspace(1 / 100, 30, 8)
    r = probes.landscape(model, x, y, step_sizes)
    keras.config.set_floatx("float64")
    try:
        exact = probes.landscape(twin_in_float64(model, norm), x, y, step_sizes)
    finally:
        keras.config.set_floatx("float32")
    assert exact.resolved.all()
    return r, exact


def test_float64_resolves_what_float32_rounds():
    r, exact = check("none", steps=0)
    np.testing.assert_allclose(
        r.gradient_distances[r.resolved],
        exact.gradient_distances[r.resolved],
        rtol=0.05,
    )


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["none", "bn"])
def test_beta_after_5000_steps(norm):
    r, exact = check(norm, steps=5000)
    np.testing.assert_allclose(
        r.gradient_distances[r.resolved],
        exact.gradient_distances[r.resolved],
        rtol=0.05,
    )
    assert np.isnan(r.beta) or r.beta == pytest.approx(exact.beta, rel=0.05)
    if norm == "none":
        # What the floor is there for: the smallest steps are rounding.
        wrong = np.abs(r.gradient_distances / exact.gradient_distances - 1) > 0.05
        assert wrong[0] and not wrong[-1]
        assert not r.resolved[0] and r.resolved[-1]
