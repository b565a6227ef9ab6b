"""Taking the data of a probe changes nothing in training, bit for bit."""

import copy
import functools
import importlib.util
import random

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_bnsmooth import probes, recompute_moving_statistics
from keras_bnsmooth.callbacks import (
    ActivationProbe,
    GradientNoiseProbe,
    LandscapeProbe,
    SharpnessProbe,
    SpectrumProbe,
)

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype("float32")
Y = RNG.normal(size=(24, 2)).astype("float32")


class Drawn(keras.utils.PyDataset):
    """Batches drawn from every global generator."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        start = random.randrange(20)
        noise = np.random.normal(size=(4, 3)) + of_backend((4, 3))
        noise += ops.convert_to_numpy(keras.random.normal((4, 3)))
        return X[start : start + 4] + noise.astype("float32"), Y[start : start + 4]


def of_backend(shape):
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.random.normal(shape).numpy()
    if BACKEND == "torch":
        import torch

        return torch.randn(shape).cpu().numpy()
    return 0.0


def loader(shuffle):
    torch = pytest.importorskip("torch")
    samples = torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(Y))
    return torch.utils.data.DataLoader(samples, batch_size=5, shuffle=shuffle)


class Drawing(keras.callbacks.Callback):
    """Training that depends on the global generators, as a user's own code may."""

    def on_train_batch_end(self, batch, logs=None):
        noise = np.random.normal() + random.random() + of_backend((1,))
        noise = noise + ops.convert_to_numpy(keras.random.normal((1,)))
        self.noise = [*getattr(self, "noise", []), noise]


def seed():
    keras.utils.set_random_seed(1)
    # Keras seeds it on its own backend only.
    if importlib.util.find_spec("torch") is not None:
        importlib.import_module("torch").manual_seed(1)


def build(built=True):
    seed()
    stack = [layers.Dense(4), layers.Dropout(0.3, seed=2), layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,)), *stack] if built else stack)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def train(model, callbacks, data=None):
    drawing = Drawing()
    fit = {"x": X, "y": Y, "batch_size": 4} if data is None else {"x": data}
    model.fit(**fit, epochs=2, callbacks=[*callbacks, drawing], verbose=0)
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(v.numpy()) for v in variables], drawing.noise


def check_same(one, other):
    for part, other_part in zip(one, other, strict=True):
        for value, other_value in zip(part, other_part, strict=True):
            np.testing.assert_array_equal(value, other_value)


def sources():
    return {
        "PyDataset": Drawn(),
        "function": lambda step: Drawn()[0],
        "loader": loader(shuffle=False),
        "shuffled_loader": loader(shuffle=True),
    }


@pytest.mark.parametrize("name", ["PyDataset", "function", "loader", "shuffled_loader"])
def test_data_that_draw_from_global_generators(name):
    expected = train(build(), [])
    probe = LandscapeProbe(sources()[name], every=2)
    check_same(train(build(), [probe]), expected)
    # The batches differ from each other, as those of `fit` would.
    assert len(np.unique(probe.history["gradient_norm"])) == 6


def test_training_on_a_loader():
    expected = train(build(), [], loader(shuffle=True))
    probe = LandscapeProbe(loader(shuffle=False), every=2)
    check_same(train(build(), [probe], loader(shuffle=True)), expected)


def test_recomputing_moving_statistics():
    model = keras.Sequential([keras.Input((3,)), layers.BatchNormalization()])
    seed()
    expected = np.random.normal(), random.random(), of_backend((1,))
    seed()
    recompute_moving_statistics(model, Drawn())
    recompute_moving_statistics(model, loader(shuffle=True))
    assert (np.random.normal(), random.random(), of_backend((1,))) == expected


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = keras.Sequential([layers.Dense(4), layers.Dropout(0.3, seed=2)])
        self.head = layers.Dense(2)

    def call(self, x, training=None):
        return self.head(self.hidden(x, training=training))


def unbuilt_subclassed():
    seed()
    model = Subclassed()
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


UNBUILT = [lambda: build(built=False), unbuilt_subclassed]


@pytest.mark.parametrize("make", UNBUILT, ids=["sequential", "subclassed"])
@pytest.mark.parametrize(
    "make_probe",
    [
        LandscapeProbe,
        ActivationProbe,
        SharpnessProbe,
        GradientNoiseProbe,
        functools.partial(SpectrumProbe, steps=2, draws=1),
    ],
)
def test_models_that_are_not_built_yet(make, make_probe):
    expected = train(make(), [])
    probe = make_probe((X[:8], Y[:8]), every=3)
    check_same(train(make(), [probe]), expected)
    assert list(probe.history["step"]) == [0, 3, 6, 9]


@pytest.mark.parametrize(
    "make", [*UNBUILT, build], ids=["sequential", "subclassed", "built"]
)
def test_functions_before_training(make):
    expected = train(make(), [])
    model = make()
    probes.landscape(model, X[:8], Y[:8], [0.1])
    probes.activations(model, X[:8])
    check_same(train(model, []), expected)


def test_probes_can_be_copied():
    """As KerasTuner does for each trial."""
    data = pytest.importorskip("tensorflow").data.Dataset.from_tensors((X, Y))
    for source in (data, *sources().values(), (X, Y)):
        probe = LandscapeProbe(source, every=4)
        first, second = copy.deepcopy(probe), copy.deepcopy(probe)
        for copied in (first, second):
            train(build(), [copied])
        for name in ("step", "loss"):
            np.testing.assert_array_equal(first.history[name], second.history[name])
        assert probe.history == {}


def test_models_of_keras_2_are_refused_in_one_line():
    class Model:
        """Stands for one of tf_keras, whose classes are not those of Keras 3."""

    with pytest.raises(ValueError, match=r"need a model of Keras 3.*received .*Model"):
        LandscapeProbe((X, Y), every=1).set_model(Model())
    with pytest.raises(ValueError, match="need a model of Keras 3"):
        probes.landscape(Model(), X, Y, [0.1])


@pytest.mark.skipif(BACKEND == "tensorflow", reason="computes in float64")
def test_float64_is_refused_in_one_line():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, dtype="float64")])
    model.compile("sgd", "mse")
    for measure in (
        lambda: probes.landscape(model, X, Y, [0.1]),
        lambda: probes.sharpness(model, X, Y),
        lambda: model.fit(
            X, Y, callbacks=[LandscapeProbe((X, Y), every=1, dry_run=False)], verbose=0
        ),
    ):
        with pytest.raises(ValueError, match=f"on the {BACKEND} backend .* float32"):
            measure()
