"""Batches of many lengths cost two traces on TensorFlow, not one per length."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bnsmooth import autodiff, probes
from keras_bnsmooth.autodiff import training_loss

LENGTHS = [5, 9, 7, 12]
# A global list, because probes put back what a closure keeps.
traces = []
STEP_SIZES = [0.05, 0.2]
KINDS = ["sequential", "subclassed"]


class Subclassed(keras.Model):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def call(self, x, training=None):
        for part in self.parts:
            x = part(x, training=training) if part.name.startswith("batch") else part(x)
        return x


def build(kind="sequential", **arguments):
    keras.utils.set_random_seed(0)
    parts = [
        layers.Conv1D(4, 3, padding="same", activation="softplus"),
        layers.BatchNormalization(),
        layers.MaxPooling1D(2),
        layers.GlobalAveragePooling1D(),
        layers.Dense(3),
    ]
    if kind == "sequential":
        model = keras.Sequential([keras.Input((None, 2)), *parts])
    else:
        model = Subclassed(parts)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, **arguments)
    return model


def batch(length, samples=4):
    rng = np.random.default_rng(length)
    return rng.normal(size=(samples, length, 2)), rng.integers(0, 3, samples)


MEASURES = {
    "landscape": lambda model, x, y: (
        probes.landscape(model, x, y, STEP_SIZES).gradient_distances
    ),
    "covariate_shift": lambda model, x, y: (
        probes.internal_covariate_shift(model, x, y, 0.1).l2
    ),
    "sharpness": lambda model, x, y: (
        probes.sharpness(model, x, y, iterations=8, tolerance=0).sharpness
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEASURES)
def test_same_as_for_one_length_alone(name, kind):
    model = build(kind)
    for length in LENGTHS[:3]:
        found = MEASURES[name](model, *batch(length))
        expected = MEASURES[name](build(kind), *batch(length))
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-6)


@pytest.mark.tensorflow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEASURES)
def test_few_traces_for_many_lengths(name, kind, jit_compile, monkeypatch):
    model = build(kind, jit_compile=jit_compile)
    traces.clear()
    compute_loss = model.compute_loss
    monkeypatch.setattr(
        model,
        "compute_loss",
        lambda *args, **kwargs: traces.append(1) or compute_loss(*args, **kwargs),
    )
    counts = []
    for length in LENGTHS:
        MEASURES[name](model, *batch(length))
        counts.append(len(traces))
    assert counts[0] > 0
    assert counts[2] == counts[3]
    # With XLA, the first two lengths may be traced apart.
    assert jit_compile or counts[1] == counts[2]


@pytest.mark.tensorflow
def test_batch_sizes_and_lengths_may_vary():
    model = build()
    shapes = []

    def loss(model, weights, state, x, y):
        shapes.append(tuple(x.shape))
        return training_loss.training_loss(model, weights, state, x, y, None)

    function = autodiff.compiled(model, loss)
    for length, samples in zip(LENGTHS, [4, 4, 3, 5], strict=True):
        x, y = map(keras.ops.convert_to_tensor, batch(length, samples))
        expected = build().train_on_batch(x, y)
        assert float(function(x, y)) == pytest.approx(float(expected), rel=1e-5)
    assert shapes == [(4, 5, 2), (4, None, 2), (None, None, 2)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEASURES)
def test_inputs_that_do_not_fit_are_named_after_many_lengths(name, kind):
    model = build(kind)
    for length in LENGTHS[:3]:
        MEASURES[name](model, *batch(length))
    x, y = batch(7)
    with pytest.raises(ValueError, match="incompatible"):
        MEASURES[name](model, np.concatenate([x, x], axis=-1), y)
