"""State that losses, regularizers, activations and functions of the user's keep.

Training must be as without probes, and probes must measure what is trained next.
"""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_bnsmooth as kb

BACKEND = keras.backend.backend()
X = np.random.default_rng(1).normal(size=(8, 6)).astype("float32")
Y = np.random.default_rng(2).normal(size=(8, 2)).astype("float32")
LATE = 7

on_jax_constant = pytest.mark.skipif(
    BACKEND == "jax", reason="a training step on JAX does not change it"
)


def average(variable, value):
    """Moves a variable towards a value and returns it."""
    variable.assign(0.9 * variable + 0.1 * ops.stop_gradient(value))
    return variable


def noise(x, seed):
    return x + 0.3 * keras.random.normal(ops.shape(x), seed=seed)


class AverageLoss(keras.losses.Loss):
    def __init__(self):
        super().__init__()
        self.average = keras.Variable(1.0, trainable=False)

    def call(self, y, y_pred):
        loss = ops.mean(ops.square(y - y_pred), -1)
        return loss / average(self.average, ops.mean(loss))


class CountingLoss(keras.losses.Loss):
    calls = 0

    def call(self, y, y_pred):
        self.calls += 1
        return ops.mean(ops.square(y - y_pred), -1) / (1 + (self.calls > LATE))


class Activation:
    def __init__(self):
        self.average = keras.Variable(1.0, trainable=False)

    def __call__(self, x):
        return ops.tanh(x) / average(self.average, ops.mean(ops.abs(x)))


class Regularizer(keras.regularizers.Regularizer):
    def __init__(self):
        self.seed = keras.random.SeedGenerator(1)

    def __call__(self, x):
        return 0.1 * ops.sum(ops.square(noise(x, self.seed)))


def regularizer_of_a_closure():
    seed = keras.random.SeedGenerator(1)

    class OfClosure(keras.regularizers.Regularizer):
        def __call__(self, x):
            return 0.1 * ops.sum(ops.square(noise(x, seed)))

    return OfClosure()


def loss_of_noise():
    seed = keras.random.SeedGenerator(1)
    return lambda y, y_pred: ops.mean(ops.square(y - noise(y_pred, seed)))


def partial_loss():
    seed = keras.random.SeedGenerator(1)

    def loss(seed, y, y_pred):
        return ops.mean(ops.square(y - noise(y_pred, seed)))

    return functools.partial(loss, seed)


def counting_loss():
    calls = 0

    def loss(y, y_pred):
        nonlocal calls
        calls += 1
        return ops.mean(ops.square(y - y_pred)) / (1 + (calls > LATE))

    return loss


def noisy_lambda():
    seed = keras.random.SeedGenerator(1)
    return layers.Lambda(lambda x: noise(x, seed))


def dense(**options):
    return layers.Dense(5, **options)


GLOBAL_SEED = keras.random.SeedGenerator(1)
global_calls = 0
global_factor = keras.Variable(1.0, trainable=False)


def loss_with_a_global_seed(y, y_pred):
    return ops.mean(ops.square(y - noise(y_pred, GLOBAL_SEED)))


def loss_with_a_global_count(y, y_pred):
    global global_calls
    global_calls += 1
    return ops.mean(ops.square(y - y_pred)) / (1 + (global_calls > LATE))


def loss_with_a_factor(y, y_pred):
    return global_factor * ops.mean(ops.square(y - y_pred))


@pytest.fixture(autouse=True)
def _start():
    reset()


def reset():
    global global_calls
    global_calls = 0
    GLOBAL_SEED.state.assign(keras.random.SeedGenerator(1).state)
    global_factor.assign(1.0)


CASES = {
    "loss with a global seed": lambda: ([dense()], loss_with_a_global_seed),
    "loss with a variable": lambda: ([dense()], AverageLoss()),
    "loss with a seed": lambda: ([dense()], loss_of_noise()),
    "partial loss": lambda: ([dense()], partial_loss()),
    "Lambda": lambda: ([dense(), noisy_lambda()], "mse"),
    "activation": lambda: ([dense(activation=Activation())], "mse"),
    "regularizer": lambda: ([dense(kernel_regularizer=Regularizer())], "mse"),
    "regularizer of a closure": lambda: (
        [dense(kernel_regularizer=regularizer_of_a_closure())],
        "mse",
    ),
}
EAGER = {
    "counting loss": lambda: ([dense()], CountingLoss()),
    "counting function": lambda: ([dense()], counting_loss()),
    "loss with a global count": lambda: ([dense()], loss_with_a_global_count),
}
PROBES = {
    "landscape": kb.LandscapeProbe,
    "ics": kb.ICSProbe,
    "layer scales": kb.LayerScaleProbe,
    "activations": kb.ActivationProbe,
}


def train(make, *probes, eagerly=False):
    keras.utils.set_random_seed(0)
    inner, loss = make()
    model = keras.Sequential([keras.Input((6,)), *inner, layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=eagerly)
    options = {"batch_size": 8, "epochs": 12, "shuffle": False, "verbose": 0}
    return model.fit(X, Y, callbacks=list(probes), **options).history["loss"]


def check(make, name, eagerly):
    probe = PROBES[name]((X, Y), every=1)
    plain = train(make, eagerly=eagerly)
    reset()
    assert train(make, probe, eagerly=eagerly) == plain
    if name == "landscape":
        np.testing.assert_allclose(probe.history["loss"], plain, rtol=1e-5)


@on_jax_constant
@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("case", CASES)
def test_variables_and_seeds(case, name):
    check(CASES[case], name, eagerly=False)


@on_jax_constant
@pytest.mark.parametrize("case", CASES)
def test_variables_and_seeds_of_a_model_that_runs_eagerly(case):
    check(CASES[case], "landscape", eagerly=True)


@on_jax_constant
@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("case", EAGER)
def test_python_state(case, name):
    check(EAGER[case], name, eagerly=True)


@on_jax_constant
def test_a_loss_that_is_given_may_keep_state():
    def make_loss():
        inner = counting_loss()
        return lambda model, x, y, weight: inner(y, model(x, training=True))

    def plain_loss(model, x, y, weight):
        return ops.mean(ops.square(y - model(x, training=True)))

    def make():
        return [dense()], "mse"

    probes = [
        kb.LandscapeProbe((X, Y), every=1, loss=loss, name=name)
        for name, loss in (("counting", make_loss()), ("plain", plain_loss))
    ]
    assert train(make, *probes, eagerly=True) == train(make, eagerly=True)
    # Every evaluation finds the state that the first found.
    counting, plain = (probe.history["losses"] for probe in probes)
    np.testing.assert_allclose(counting, plain, rtol=1e-5)


@on_jax_constant
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_an_update_is_measured_with_the_loss_of_its_step(first, given):
    """Callbacks change a factor of the loss, before each step and after it."""

    class Anneal(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            global_factor.assign(4.0)

        def on_train_batch_end(self, batch, logs=None):
            global_factor.assign(1.0)

    def loss(model, x, y, weight):
        return loss_with_a_factor(y, model(x, training=True))

    def make():
        return [dense()], loss_with_a_factor

    probe = kb.LayerScaleProbe((X, Y), every=1, loss=loss if given else None)
    train(make, *([Anneal(), probe] if first else [probe, Anneal()]))
    moved = probe.history["update_ratio"] * probe.history["weight_norm"]
    np.testing.assert_allclose(probe.history["gradient_norm"], moved / 0.1, rtol=1e-4)
