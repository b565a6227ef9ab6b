"""Layers that draw from generators that Keras does not own."""

import importlib
import random

import keras
import numpy as np
import pytest

from keras_bnsmooth import probes, recompute_moving_statistics
from keras_bnsmooth.callbacks import (
    ActivationProbe,
    GradientNoiseProbe,
    ICSProbe,
    LandscapeProbe,
    LayerScaleProbe,
    SharpnessProbe,
    SpectrumProbe,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = RNG.normal(size=(64, 1)).astype("float32")
BATCH = (X[:16], Y[:16])
BACKEND = keras.backend.backend()


class Times(keras.layers.Layer):
    """Multiplies its inputs by what a function draws for them."""

    def __init__(self, draw, **arguments):
        super().__init__(**arguments)
        self.draw = draw

    def call(self, inputs, training=False):
        if not training:
            return inputs
        return inputs * keras.ops.convert_to_tensor(self.draw(inputs), inputs.dtype)


def from_python(x):
    return random.uniform(0.5, 1.5)


def from_numpy(x):
    return np.random.uniform(0.5, 1.5, (1, 8))


def from_torch(x):
    import torch

    return torch.rand_like(x)


def from_tensorflow(x):
    import tensorflow as tf

    return tf.random.get_global_generator().uniform((1, 8), 0.5, 1.5)


def from_a_generator(x):
    """Draws from a generator that nothing but this function refers to."""
    import tensorflow as tf

    if not hasattr(from_a_generator, "generator"):
        with tf.init_scope():
            from_a_generator.generator = tf.random.Generator.from_seed(1)
    return from_a_generator.generator.uniform((1, 8), 0.5, 1.5)


def dropout():
    return keras.layers.Dropout(0.3)


def spatial_dropout():
    reshaped = [keras.layers.Reshape((4, 2)), keras.layers.SpatialDropout1D(0.4)]
    return keras.Sequential([*reshaped, keras.layers.Flatten()])


def times(draw):
    return pytest.param(lambda: Times(draw), id=draw.__name__)


NOISES = [dropout, spatial_dropout, times(from_python), times(from_numpy)]
if BACKEND == "torch":
    NOISES.append(times(from_torch))
if BACKEND == "tensorflow":
    NOISES += [times(from_tensorflow), times(from_a_generator)]

eager = pytest.mark.skipif(
    BACKEND == "jax", reason="JAX traces layers, so what they draw is a constant"
)


def build(noise, **arguments):
    keras.utils.set_random_seed(3)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tf.random.set_global_generator(tf.random.Generator.from_seed(5))
        vars(from_a_generator).pop("generator", None)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="tanh", name="first"),
            noise(),
            keras.layers.Dense(1, name="last"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05), "mse", **arguments)
    return model


def to_numpy(tensor):
    return np.array(keras.ops.convert_to_numpy(tensor))


def fit(model, callbacks):
    model.fit(X, Y, batch_size=16, epochs=2, callbacks=callbacks, verbose=0)
    return [np.array(v.numpy()) for v in model.variables]


def global_numbers():
    """Returns one number from every global generator, which moves them on."""
    numbers = [random.random(), np.random.random()]
    if BACKEND == "torch":
        import torch

        numbers.append(float(torch.rand(())))
    if BACKEND == "tensorflow":
        import tensorflow as tf

        numbers.append(float(tf.random.get_global_generator().uniform(())))
        numbers.append(float(tf.random.uniform(())))
        if hasattr(from_a_generator, "generator"):
            numbers.append(float(from_a_generator.generator.uniform(())))
    return numbers


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_training_with_probes_is_training_without(noise, run_eagerly):
    if BACKEND != "tensorflow" and run_eagerly:
        pytest.skip("torch is eager; on JAX the other case is enough")
    plain = build(noise, run_eagerly=run_eagerly)
    expected = [*fit(plain, []), *global_numbers()]
    probed = build(noise, run_eagerly=run_eagerly)
    callbacks = [
        # Before and after the noise.
        ActivationProbe(BATCH, every=1, layers=["first"]),
        ActivationProbe(BATCH, every=2, successive=True),
        LandscapeProbe(BATCH, every=2),
        ICSProbe(BATCH, every=3),
        ICSProbe(BATCH, every=3, update="training"),
        LayerScaleProbe(BATCH, every=3),
        SharpnessProbe(BATCH, every=4, iterations=2),
        GradientNoiseProbe(BATCH, every=3, batches=2),
        SpectrumProbe(BATCH, every=4, steps=2, draws=1),
    ]
    found = [*fit(probed, callbacks), *global_numbers()]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("noise", NOISES)
def test_every_step_size_has_the_same_noise(noise):
    # The loss is a quadratic in steps this short, so its slope is -||g||^2.
    model = build(noise)
    r = probes.landscape(model, *BATCH, [1e-12, 1e-3, 2e-3])
    np.testing.assert_array_equal(r.losses[0], r.loss)
    assert r.gradient_distances[0] <= 1e-6 * r.gradient_norm
    assert not r.resolved[0]
    slopes = (r.loss - r.losses[1:]) / r.step_sizes[1:]
    expected = r.gradient_norm**2 * (1 - r.beta * r.step_sizes[1:])
    np.testing.assert_array_less(expected * 0.99, slopes)
    np.testing.assert_array_less(slopes, r.gradient_norm**2 * 1.01)


@eager
@pytest.mark.parametrize("noise", NOISES)
def test_functions_move_no_generator(noise):
    model = build(noise)
    expected, numbers = model(BATCH[0], training=True), global_numbers()
    model = build(noise)
    weights = [np.array(v.numpy()) for v in model.trainable_variables]
    probes.landscape(model, *BATCH, [0.1])
    probes.internal_covariate_shift(model, *BATCH, 0.1)
    probes.activations(model, BATCH[0], layers=["first"])
    probes.sharpness(model, *BATCH, iterations=2)
    probes.critical_learning_rate(model, *BATCH)
    probes.loss_surface(model, BATCH, directions="random", resolution=2, verbose=0)
    x, y = BATCH
    probes.layer_scales(model, weights, weights, 0.1, x=x, y=y)
    outputs = model(BATCH[0], training=True)
    np.testing.assert_array_equal(*map(to_numpy, (outputs, expected)))
    assert global_numbers() == numbers


@pytest.mark.skipif(BACKEND != "torch", reason="draws from torch's global generator")
def test_landscape_of_dropout_with_the_mask_that_torch_draws():
    import torch

    model = build(dropout)
    state = torch.get_rng_state()
    # Dropout is the only layer that draws.
    mask = torch.nn.functional.dropout(torch.ones(16, 8), 0.3).numpy()
    torch.set_rng_state(state)
    kernel, bias, kernel2, bias2 = (
        np.array(v.numpy(), np.float64) for v in model.trainable_variables
    )
    x, y = (part.astype(np.float64) for part in BATCH)

    def loss_and_gradient(kernel, bias, kernel2, bias2):
        hidden = np.tanh(x @ kernel + bias)
        error = (hidden * mask) @ kernel2 + bias2 - y
        out = 2 * error / error.size
        inner = out @ kernel2.T * mask * (1 - hidden**2)
        gradient = (x.T @ inner, inner.sum(0), (hidden * mask).T @ out, out.sum(0))
        return np.mean(error**2), gradient

    weights = (kernel, bias, kernel2, bias2)
    loss, g = loss_and_gradient(*weights)
    step_sizes = np.array([0.01, 0.1, 0.5])
    at = [
        loss_and_gradient(*(w - s * d for w, d in zip(weights, g, strict=True)))
        for s in step_sizes
    ]
    r = probes.landscape(model, *BATCH, step_sizes)
    np.testing.assert_allclose(r.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(r.losses, [moved for moved, _ in at], rtol=1e-5)
    distances = [
        np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(moved, g, strict=True)))
        for _, moved in at
    ]
    np.testing.assert_allclose(r.gradient_distances, distances, rtol=1e-4)


@pytest.mark.skipif(BACKEND != "torch", reason="draws from torch's global generator")
def test_recomputed_statistics_average_over_many_draws():
    norm = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dropout(0.5), norm])
    keras.utils.set_random_seed(0)
    before = global_numbers()
    keras.utils.set_random_seed(0)
    batches = [np.ones((50, 1), "float32")] * 100
    recompute_moving_statistics(model, batches, noise=True)
    # Dropout turns 1 into 0 or 2, with a mean of 1 +- 0.014; one draw of it, 0.14.
    assert abs(float(norm.moving_mean[0]) - 1) < 0.05
    assert global_numbers() == before


def _unreplayable():
    """Returns a layer that takes other numbers from an iterator at each evaluation."""
    numbers = iter(np.random.default_rng(0).normal(size=10_000).tolist())

    def draw(x):
        if BACKEND == "torch":
            return next(numbers)
        import tensorflow as tf

        factor = tf.numpy_function(lambda: next(numbers), [], tf.float64)
        return tf.cast(tf.reshape(factor, (1, 1)), x.dtype)

    return Times(draw)


@eager
@pytest.mark.parametrize(
    "measure",
    [
        lambda model: probes.landscape(model, *BATCH, [0.1]),
        lambda model: probes.internal_covariate_shift(model, *BATCH, 0.1),
        lambda model: probes.activations(model, BATCH[0]),
        lambda model: probes.sharpness(model, *BATCH),
        lambda model: probes.critical_learning_rate(model, *BATCH),
        lambda model: probes.loss_surface(model, BATCH, verbose=0),
    ],
)
def test_functions_refuse_what_cannot_be_replayed(measure):
    model = build(_unreplayable)
    for _ in range(2):
        with pytest.raises(ValueError, match="changed between two evaluations"):
            measure(model)


@pytest.mark.tensorflow
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_refuses_random_operations_of_tensorflow(run_eagerly):
    import tensorflow as tf

    def noise():
        return Times(lambda x: tf.random.normal(tf.shape(x)))

    model = build(noise, run_eagerly=run_eagerly)
    with pytest.raises(ValueError, match=r"as tf\.random\.normal does"):
        probes.landscape(model, *BATCH, [1e-12, 1e-3, 2e-3])


def test_functions_check_once_per_compilation(monkeypatch):
    model = build(dropout)
    probes.landscape(model, *BATCH, [0.1, 0.2])
    landscape = importlib.import_module("keras_bnsmooth.probes.landscape")
    calls = []
    measure = landscape.measure_landscape
    monkeypatch.setattr(
        landscape, "measure_landscape", lambda *args: calls.append(1) or measure(*args)
    )
    probes.landscape(model, *BATCH, [0.1, 0.2])
    assert len(calls) == 1
    model.compile("sgd", "mae")
    probes.landscape(model, *BATCH, [0.1, 0.2])
    assert len(calls) == 3
