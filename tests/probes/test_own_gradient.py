"""What probes see is what training differentiates, or training does not start."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_bnsmooth as kb
from keras_bnsmooth.probes import own_gradient
from keras_bnsmooth.probes.arguments import to_tensors
from tests.probes import example_models, reference

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 6)).astype("float32")
SEQUENCES = RNG.normal(size=(8, 5, 6)).astype("float32")
Y = RNG.normal(size=(8, 2)).astype("float32")
RATE = 0.1

BACKEND = keras.backend.backend()
on_tensorflow = pytest.mark.tensorflow
off_jax = pytest.mark.skipif(BACKEND == "jax", reason="right there")


def compiled(make, x=X):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(batch_shape=x.shape)
    outputs = layers.Dense(2)(make()(layers.Dense(6)(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    return model, x


class PythonState(layers.Layer):
    """Scales by a Python number that grows with each call."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def call(self, x):
        self.calls += 1
        return x * (1 + 0.1 * self.calls)


class BackendState(layers.Layer):
    """Scales by a variable or tensor of the backend that grows with each call."""

    def __init__(self):
        super().__init__()
        if BACKEND == "tensorflow":
            import tensorflow as tf

            self.calls = tf.Variable(0.0, trainable=False)
        else:
            import torch

            self.register_buffer("calls", torch.zeros(()))

    def call(self, x):
        if BACKEND == "tensorflow":
            self.calls.assign_add(1.0)
        else:
            self.calls += 1
        return self.scaled(x)

    def scaled(self, x):
        return x * (1 + 0.1 * self.calls)


class Counter(BackendState):
    """Counts calls and computes nothing of them."""

    def scaled(self, x):
        return x


class AssignsWeights(layers.Layer):
    """Clips its weights in its call, as layers of Wasserstein critics do."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(6,), initializer="ones", name="scale")

    def call(self, x):
        self.scale.assign(ops.clip(self.scale * 2, -0.5, 0.5))
        return x * self.scale


class Recomputed(layers.Layer):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(6, activation="tanh")

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        import tensorflow as tf

        return tf.recompute_grad(lambda x: self.dense(x))(x)


def spectral():
    return layers.SpectralNormalization(layers.Dense(5))


def quantized():
    model, x = compiled(lambda: layers.Dense(5))
    for layer in model.layers[1:]:
        layer.quantize("float8")
    model.compile(keras.optimizers.SGD(RATE), "mse")
    return model, x


REFUSED = {
    "float8": quantized,
    "recompute_grad": pytest.param(lambda: compiled(Recomputed), marks=on_tensorflow),
    "spectral normalization": pytest.param(lambda: compiled(spectral), marks=off_jax),
    "assigned weights": pytest.param(lambda: compiled(AssignsWeights), marks=off_jax),
    "state in Python": pytest.param(
        lambda: compiled(PythonState),
        marks=pytest.mark.skipif(BACKEND == "torch", reason="measured there"),
    ),
}


def stateful():
    keras.utils.set_random_seed(0)
    inputs = keras.Input(batch_shape=SEQUENCES.shape)
    x = layers.SimpleRNN(4, stateful=True)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(SEQUENCES, Y, batch_size=8, verbose=0)  # leaves a state
    return model, SEQUENCES


def rematerialized():
    # Keras' own crashes in `fit` on TensorFlow.
    def dense():
        with keras.RematScope(mode="full"):
            return layers.Dense(5, activation="tanh")

    return compiled(dense)


MEASURED = {
    "stateful": stateful,
    "counter": pytest.param(lambda: compiled(Counter), marks=off_jax),
    "state in Python": pytest.param(
        lambda: compiled(PythonState),
        marks=pytest.mark.skipif(BACKEND != "torch", reason="traced there"),
    ),
    "state of the backend": pytest.param(lambda: compiled(BackendState), marks=off_jax),
    "rematerialized": pytest.param(
        rematerialized,
        marks=pytest.mark.skipif(BACKEND == "tensorflow", reason="fit crashes there"),
    ),
    "spectral normalization": pytest.param(
        lambda: compiled(spectral),
        marks=pytest.mark.skipif(BACKEND != "jax", reason="refused there"),
    ),
}


def cases(table):
    return [
        pytest.param(*case.values, marks=case.marks, id=name)
        if hasattr(case, "marks")
        else pytest.param(case, id=name)
        for name, case in table.items()
    ]


def fit(model, x, *callbacks, epochs=1):
    history = model.fit(
        x,
        Y,
        batch_size=8,
        shuffle=False,
        verbose=0,
        epochs=epochs,
        callbacks=list(callbacks),
    )
    return history.history["loss"]


def untracked(model):
    found = []
    for layer in model.layers:
        states = getattr(layer, "states", None) or []
        calls = getattr(layer, "calls", None)
        found += [s.numpy() for s in states]
        if calls is not None:
            found.append(calls if isinstance(calls, int) else calls.numpy())
    return [np.array(value) for value in found]


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(v.numpy()) for v in variables] + untracked(model)


def check_same(model, expected):
    for value, other in zip(state(model), expected, strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("make", cases(REFUSED))
def test_what_is_not_what_is_trained_is_refused_and_left_alone(make):
    class Stopped(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            raise RuntimeError

    plain, x = make()
    with pytest.raises(RuntimeError):
        fit(plain, x, Stopped())  # Keras may call the model before
    model, x = make()
    with pytest.raises(ValueError, match="LandscapeProbe cannot measure") as raised:
        fit(model, x, kb.LandscapeProbe((x, Y), every=1))
    assert "\n" not in str(raised.value)
    check_same(model, state(plain))


@pytest.mark.parametrize("make", cases(REFUSED))
def test_training_is_the_same_where_the_check_is_switched_off(make):
    plain, x = make()
    fit(plain, x, epochs=4)
    probed, x = make()
    fit(probed, x, kb.LandscapeProbe((x, Y), every=2, dry_run=False), epochs=4)
    check_same(probed, state(plain))


@off_jax
def test_the_line_says_by_how_much():
    model, x = compiled(spectral)
    batch = to_tensors(model, x, Y)
    weights = [np.array(v.numpy()) for v in model.trainable_variables]
    _, gradient = reference.value_and_grad(model, weights, x, Y)
    with pytest.raises(ValueError, match="another gradient, by") as raised:
        own_gradient.check_own_gradient(model, batch)
    assert f"instead of {reference.norm(gradient):.4g}" in str(raised.value)


@pytest.mark.parametrize("make", cases(MEASURED))
def test_what_can_be_measured_right_is(make):
    plain, x = make()
    fit(plain, x, epochs=4)
    model, x = make()
    probe = kb.LandscapeProbe((x, Y), every=1)

    class Length(kb.UpdateProbe):
        needs_data = False

        def measure_update(self, step, batch, weights, next_weights, learning_rate):
            moves = [b - a for a, b in zip(weights, next_weights, strict=True)]
            return {"length": reference.norm(moves)}

    length = Length(every=1)
    losses = fit(model, x, probe, length, epochs=4)
    np.testing.assert_allclose(probe.history["loss"], losses, rtol=1e-4)
    # Its call sets the kernel, which is no update of the optimizer.
    if not isinstance(model.layers[2], layers.SpectralNormalization):
        np.testing.assert_allclose(
            probe.history["gradient_norm"], length.history["length"] / RATE, rtol=1e-4
        )
    check_same(model, state(plain))


def test_the_path_of_a_stateful_rnn_is_right():
    """The state is held at every step size."""
    model, x = stateful()
    rnn = model.layers[1]
    held = [np.array(s.numpy()) for s in rnn.states]
    r = kb.probes.landscape(model, x, Y, [0.1, 0.3])
    weights = [np.array(v.numpy()) for v in model.trainable_variables]

    def at(values):
        for variable, value in zip(rnn.states, held, strict=True):
            variable.assign(value)
        return reference.value_and_grad(model, values, x, Y)

    loss, g = at(weights)
    np.testing.assert_allclose(r.loss, loss, rtol=1e-5)
    for number, step in enumerate((0.1, 0.3)):
        moved_loss, moved = at([w - step * d for w, d in zip(weights, g, strict=True)])
        np.testing.assert_allclose(r.losses[number], moved_loss, rtol=1e-4)
        distance = reference.norm([a - b for a, b in zip(moved, g, strict=True)])
        np.testing.assert_allclose(r.gradient_distances[number], distance, rtol=1e-3)


@pytest.mark.parametrize(
    "make", [*example_models.PAPER, *example_models.KINDS], ids=lambda m: m.__name__
)
def test_models_that_were_right_are_not_refused(make):
    model, batch = make()
    x, y, *weight = batch
    tensors = to_tensors(model, x, y, *weight)
    variables = [*model.variables, *model.metrics_variables]
    before = [np.array(v.numpy()) for v in variables]
    losses = len(model.losses)
    own_gradient.check_own_gradient(model, tensors)
    for value, variable in zip(before, variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())
    for variable in model.metrics_variables[len(variables) - len(model.variables) :]:
        assert not np.any(variable.numpy())  # created by the loss of several outputs
    assert len(model.losses) == losses
