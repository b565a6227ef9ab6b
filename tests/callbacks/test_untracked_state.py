"""State outside of Keras variables: replayed by every evaluation, and left as it was.

The layers here halve their output from the call `LATE` on, long after the trial
measurement, so that a single call too many changes training.
"""

import collections
import random

import keras
import numpy as np
import pytest
from keras import layers

import keras_bnsmooth as kb

BACKEND = keras.backend.backend()
LATE = 14
X = np.random.default_rng(1).normal(size=(16, 6)).astype("float32")
Y = np.random.default_rng(2).integers(0, 3, 16)


class Late(layers.Layer):
    """Counts the calls in training, in a way that subclasses choose."""

    def call(self, x, training=None):
        if not training or (BACKEND == "torch" and x.device.type == "meta"):
            return x
        self.count()
        return x * (1.0 if self.calls() < LATE else 0.5)


class ClassDefault(Late):
    n = 0

    def count(self):
        self.n += 1

    def calls(self):
        return self.n


class OfTheClass(Late):
    n = 0

    def count(self):
        type(self).n += 1

    def calls(self):
        return self.n


class NoneAtFirst(Late):
    def __init__(self):
        super().__init__()
        self.n = None

    def count(self):
        self.n = 1 if self.n is None else self.n + 1

    def calls(self):
        return self.n or 0


class Collection(Late):
    def __init__(self, make):
        super().__init__()
        self.held = make()

    def count(self):
        if isinstance(self.held, dict):
            self.held["n"] = self.held.get("n", 0) + 1
        elif isinstance(self.held, set):
            self.held.add(len(self.held))
        else:
            self.held.append(1)

    def calls(self):
        return self.held.get("n", 0) if isinstance(self.held, dict) else len(self.held)


class Counter:
    """An object of the user's, with an array."""

    def __init__(self):
        self.n = np.zeros(1)


class Object(Late):
    def __init__(self):
        super().__init__()
        self.counter = Counter()

    def count(self):
        self.counter.n[0] += 1

    def calls(self):
        return self.counter.n[0]


class Generator(Late):
    """Draws numbers, and halves the output for one in ten."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw
        self.drawn = 0.0

    def count(self):
        kind = type(self.draw)
        self.drawn = (
            self.draw.rand() if "State" in kind.__name__ else self.draw.random()
        )

    def calls(self):
        return 0 if self.drawn < 0.9 else LATE


EAGER = {
    "class default": ClassDefault,
    "class": OfTheClass,
    "None at first": NoneAtFirst,
    "list": lambda: Collection(list),
    "dict": lambda: Collection(dict),
    "set": lambda: Collection(set),
    "deque": lambda: Collection(collections.deque),
    "object": Object,
    "NumPy": lambda: Generator(np.random.default_rng(0)),
    "old NumPy": lambda: Generator(np.random.RandomState(0)),
    "Python": lambda: Generator(random.Random(0)),
}
PROBES = {
    "landscape": lambda batch: kb.LandscapeProbe(batch, every=1, multiples=[0.5, 3.0]),
    "ics": lambda batch: kb.ICSProbe(batch, every=1),
    "layer scales": lambda batch: kb.LayerScaleProbe(batch, every=1),
    "gradient noise": lambda batch: kb.GradientNoiseProbe(batch, every=1, batches=2),
    "spectrum": lambda batch: kb.SpectrumProbe(batch, every=1, steps=3, draws=1),
    "activations": lambda batch: kb.ActivationProbe(batch, every=1),
}


def train(layer, probe=None, eagerly=True, callbacks=()):
    keras.utils.set_random_seed(0)
    OfTheClass.n = 0
    inner = [layers.Dense(5, activation="tanh"), layer, layers.Dense(3)]
    model = keras.Sequential([keras.Input((6,)), *inner])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=eagerly)
    callbacks = [*callbacks, *([probe] if probe else [])]
    options = {"batch_size": 8, "epochs": 10, "shuffle": False, "verbose": 0}
    return model.fit(X, Y, callbacks=callbacks, **options).history["loss"]


@pytest.mark.skipif(BACKEND == "jax", reason="every step is compiled there")
@pytest.mark.parametrize("kind", EAGER)
def test_python_state_is_as_without_probes(kind):
    plain = train(EAGER[kind]())
    assert len(set(plain)) == len(plain)
    for make in PROBES.values():
        assert train(EAGER[kind](), make((X[:8], Y[:8]))) == plain


@pytest.mark.skipif(BACKEND == "jax", reason="every step is compiled there")
def test_every_evaluation_sees_the_state_of_its_step():
    probe = kb.LandscapeProbe((X[:8], Y[:8]), every=1, multiples=[0.05, 0.3])
    scales = PROBES["layer scales"]((X[:8], Y[:8]))
    train(ClassDefault(), probe, callbacks=[scales])
    # The steps are so small that losses far from each other are of different states.
    assert np.ptp(probe.history["losses"], axis=1).max() < 0.02
    norm = np.sqrt(np.sum(scales.history["gradient_norm"] ** 2, axis=1))
    np.testing.assert_allclose(norm, probe.history["gradient_norm"], rtol=1e-4)


@pytest.mark.tensorflow
@pytest.mark.parametrize("eagerly", [True, False])
@pytest.mark.parametrize("name", PROBES)
def test_variables_of_tensorflow_are_rewound(name, eagerly):
    import tensorflow as tf

    class RunningMean(layers.Layer):
        def __init__(self):
            super().__init__()
            self.mean = tf.Variable(tf.zeros(5), trainable=False)

        def call(self, x, training=None):
            if training:
                self.mean.assign(0.3 * self.mean + 0.7 * tf.reduce_mean(x, 0))
            return x - self.mean

    plain, layer = train(RunningMean(), eagerly=eagerly), RunningMean()
    probe = PROBES[name]((X[:8], Y[:8]))
    norms = kb.LandscapeProbe((X[:8], Y[:8]), every=1, multiples=[1e-3, 2e-3])
    assert train(layer, probe, eagerly, callbacks=[norms]) == plain
    if name == "layer scales":
        norm = np.sqrt(np.sum(probe.history["gradient_norm"] ** 2, axis=1))
        np.testing.assert_allclose(norm, norms.history["gradient_norm"], rtol=1e-4)


@pytest.mark.skipif(BACKEND == "jax", reason="Keras does not trace it there")
@pytest.mark.parametrize("name", PROBES)
def test_the_global_generator_of_keras(name):
    class Noise(layers.Layer):
        def call(self, x, training=None):
            shape = keras.ops.shape(x)
            return x + 0.1 * keras.random.normal(shape) if training else x

    plain = train(Noise(), eagerly=False)
    assert train(Noise(), PROBES[name]((X[:8], Y[:8])), eagerly=False) == plain


def test_an_update_is_measured_with_the_state_of_its_step():
    class Scale(layers.Layer):
        def build(self, shape):
            self.k = self.add_weight(shape=(), initializer="ones", trainable=False)

        def call(self, x):
            return x * self.k

    class Anneal(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.layers[1].k.assign([1.0, 4.0][batch])

    found = []
    for first in (True, False):
        probe = PROBES["layer scales"]((X[:8], Y[:8]))
        before, after = ([Anneal()], []) if first else ([], [Anneal()])
        train(Scale(), eagerly=False, callbacks=[*before, probe, *after])
        found.append(probe.history["gradient_norm"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_two_probes_of_a_model_that_fit_builds():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(4), layers.Dense(3)

        def call(self, x):
            return self.last(self.first(x))

    keras.utils.set_random_seed(0)
    model = Plain()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    probes = [make((X[:8], Y[:8])) for make in PROBES.values()]
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=probes)
    assert all(len(probe.history["step"]) == 2 for probe in probes)


@pytest.mark.skipif(BACKEND != "torch", reason="wraps a torch module")
@pytest.mark.parametrize("name", PROBES)
def test_a_torch_module_with_buffers(name):
    import torch
    from torch import nn

    def build():
        keras.utils.set_random_seed(0)
        module = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh())
        wrapped = layers.TorchModuleWrapper(module, output_shape=(None, 5))
        model = keras.Sequential([keras.Input((6,)), wrapped, layers.Dense(3)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss)
        return model, module

    def train(*probes):
        model, module = build()
        options = {"batch_size": 8, "shuffle": False, "verbose": 0}
        model.fit(X, Y, callbacks=list(probes), **options)
        return [np.array(v.detach()) for v in module.state_dict().values()]

    probe = PROBES[name]((X[:8], Y[:8]))
    for one, other in zip(train(), train(probe), strict=True):
        np.testing.assert_array_equal(one, other)

    if name == "landscape":
        model, _ = build()
        logits = model(torch.tensor(X[:8]), training=True)
        expected = nn.functional.cross_entropy(logits, torch.tensor(Y[:8]))
        expected.backward()
        norm = np.sqrt(sum(float((p.grad**2).sum()) for p in model.parameters()))
        assert probe.history["loss"][0] == pytest.approx(expected.item(), rel=1e-6)
        assert probe.history["gradient_norm"][0] == pytest.approx(norm, rel=1e-5)


@pytest.mark.skipif(BACKEND != "torch", reason="a parameter of torch")
@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("trained", [True, False])
def test_a_layer_that_multiplies_by_a_tensor_of_its_own(name, trained):
    import torch

    class Scale(layers.Layer):
        def __init__(self):
            super().__init__()
            scale = torch.linspace(0.5, 1.5, 5)
            self.scale = torch.nn.Parameter(scale) if trained else scale

        def call(self, x):
            return x * self.scale.to(x.device)

    plain = train(Scale(), eagerly=False)
    probe = PROBES[name]((X[:8], Y[:8]))
    assert train(Scale(), probe, eagerly=False) == plain
    assert len(probe.history["step"]) == 20
