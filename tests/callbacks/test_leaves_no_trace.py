"""Training with probes is training without them, bit for bit."""

import random

import keras
import numpy as np
import pytest
from keras import layers

from keras_bnsmooth.callbacks import (
    ActivationProbe,
    GradientNoiseProbe,
    ICSProbe,
    LandscapeProbe,
    LayerScaleProbe,
    SharpnessProbe,
    SpectrumProbe,
    TrajectoryProbe,
)
from keras_bnsmooth.models.norms import NORMS, normalize

RNG = np.random.default_rng(0)
X = RNG.normal(size=(56, 6, 6, 2)).astype("float32")
Y = RNG.integers(0, 3, 56)
BATCH = (X[:16], Y[:16])
STEPS = 14  # an epoch of X in batches of 4


def build(norm, steps_per_execution):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3)(inputs)
    x = layers.ReLU()(normalize(x, norm, "norm", seed=2))
    x = layers.Flatten()(layers.SpatialDropout2D(0.3)(x))
    x = layers.GaussianNoise(0.1)(layers.Dense(5, kernel_regularizer="l2")(x))
    model = keras.Model(inputs, layers.Dense(3)(x))
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    return model


def fit(model, callbacks, epochs=1, **arguments):
    return model.fit(
        X,
        Y,
        batch_size=4,
        epochs=epochs,
        validation_data=(X[:8], Y[:8]),
        callbacks=callbacks,
        verbose=0,
        **arguments,
    )


def state(model):
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    # Copies, since on torch `numpy()` shows the variable's own memory.
    values = [np.array(v.numpy()) for v in variables]
    return values, random.getstate(), np.random.get_state()


def check_same(one, other):
    (values, python, numpy), (other_values, other_python, other_numpy) = one, other
    for value, other_value in zip(values, other_values, strict=True):
        np.testing.assert_array_equal(value, other_value)
    assert python == other_python
    np.testing.assert_array_equal(numpy[1], other_numpy[1])


def all_probes(log_dir, batch=BATCH, **arguments):
    return [
        LandscapeProbe(batch, every=3, log_dir=log_dir),
        ICSProbe(batch, every=[0, 5, 7], log_dir=log_dir, **arguments),
        ActivationProbe(batch, every=4, log_dir=log_dir, successive=True),
        SharpnessProbe(batch, every=6, log_dir=log_dir, iterations=3, **arguments),
        LandscapeProbe(batch, every=7, direction="random", name="random"),
        GradientNoiseProbe(batch, every=5, batches=4, log_dir=log_dir),
        SpectrumProbe(batch, every=6, steps=3, draws=1, log_dir=log_dir),
        LandscapeProbe(batch, every=5, direction="update", name="update"),
    ]


CASES = [(norm, 1) for norm in NORMS]
if keras.backend.backend() != "torch":  # where Keras makes one step at a time
    CASES += [("noisy_bn", 7), ("none", 7)]


@pytest.mark.parametrize(("norm", "steps_per_execution"), CASES)
def test_with_all_probes(norm, steps_per_execution, tmp_path):
    plain = build(norm, steps_per_execution)
    plain_history = fit(plain, []).history
    expected = state(plain)
    probed = build(norm, steps_per_execution)
    probes = [*all_probes(tmp_path), TrajectoryProbe(every=2, log_dir=tmp_path)]
    history = fit(probed, probes).history
    assert history.items() >= plain_history.items()
    check_same(state(probed), expected)
    assert all(len(probe.history["step"]) >= 2 for probe in probes)


@pytest.mark.parametrize("norm", NORMS)
def test_with_probes_of_the_update_of_training(norm, tmp_path):
    plain = build(norm, 1)
    fit(plain, [], epochs=2)
    expected = state(plain)
    probed = build(norm, 1)
    scales = [
        LayerScaleProbe(every=2, log_dir=tmp_path),
        LayerScaleProbe(BATCH, every=3, log_dir=tmp_path, name="with_data"),
        TrajectoryProbe(every=4, log_dir=tmp_path),
    ]
    fit(probed, [*scales, *all_probes(tmp_path, update="training")], epochs=2)
    check_same(state(probed), expected)
    assert [len(probe.history["step"]) for probe in scales] == [14, 10, 7]


def test_when_a_probe_raises_in_the_middle():
    class Interrupted(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations == 9:
                raise RuntimeError

    def batch_until_step_9(step):
        if step == 9:
            raise RuntimeError
        return BATCH

    states = []
    for callbacks in (
        [Interrupted()],
        [LandscapeProbe(batch_until_step_9, every=3, name="a"), *all_probes(None)],
    ):
        model = build("noisy_bn", 1)
        with pytest.raises(RuntimeError):
            fit(model, callbacks)
        states.append(state(model))
        fit(model, [])
        states.append(state(model))
    interrupted, continued, probed, probed_continued = states
    check_same(probed, interrupted)
    check_same(probed_continued, continued)
