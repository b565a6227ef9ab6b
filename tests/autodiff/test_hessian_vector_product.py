import keras
import numpy as np
import pytest
from keras import layers

from keras_bnsmooth import autodiff
from keras_bnsmooth.probes.arguments import to_tensors
from tests.probes import small_models
from tests.probes.small_models import compiled, dense_hessian, flat, unflat

BACKEND = keras.backend.backend()
# Other backends of Keras take means in single precision.
RTOL = 1e-7 if BACKEND == "tensorflow" else 2e-2


def multiply(model, weights, state, x, y, sample_weight, vector):
    return autodiff.hessian_vector_product(
        model, weights, vector, state, x, y, sample_weight
    )


def products(model, batch, vector, **arguments):
    """H v by a single product, and by the function that shares a gradient."""
    batch = to_tensors(model, *batch)
    tensors = [keras.ops.convert_to_tensor(part) for part in unflat(model, vector)]
    single = autodiff.compiled(model, multiply)(*batch, tensors)
    *_, product = autodiff.linearize(model, *batch, **arguments)
    return [
        flat(map(keras.ops.convert_to_numpy, result))
        for result in (single, product(tensors))
    ]


def random_vector(model, seed=0):
    size = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    return np.random.default_rng(seed).normal(size=size)


@pytest.mark.parametrize("build", small_models.KINDS, ids=lambda build: build.__name__)
@pytest.mark.usefixtures("float64")
def test_equals_differences_of_the_gradient(build):
    model, batch = build()
    gradient, hessian = dense_hessian(model, batch)
    vector = random_vector(model)
    expected = hessian @ vector
    atol = RTOL * np.abs(expected).max()
    for product in products(model, batch, vector):
        np.testing.assert_allclose(product, expected, atol=atol)
    _, g, _ = autodiff.linearize(model, *to_tensors(model, *batch))
    found = flat(map(keras.ops.convert_to_numpy, g))
    np.testing.assert_allclose(found, gradient, atol=1e-5 * np.abs(gradient).max())


@pytest.mark.usefixtures("float64")
def test_batch_normalization_ignores_a_constant_shift_of_its_inputs():
    # The bias before a normalization has no effect on the loss, so its row of the
    # Hessian is zero. With the mean held constant it is not.
    model = compiled(layers.Dense(3), layers.BatchNormalization(), layers.Dense(3))
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(4, 5)), rng.integers(0, 3, 4)
    bias = np.zeros(len(random_vector(model)))
    bias[15:18] = 1.0  # after the kernel [5, 3]
    for product in products(model, batch, bias):
        np.testing.assert_allclose(product, 0, atol=1e-12 if RTOL < 1e-6 else 1e-5)


POOLING = {
    "tiling": lambda: layers.MaxPooling2D(2),
    "tiling_unequal": lambda: layers.MaxPooling2D((3, 2)),
    "overlapping": lambda: layers.MaxPooling2D(3, strides=1),
    "padded": lambda: layers.MaxPooling2D(4, padding="same"),
    "same_size": lambda: layers.MaxPooling2D(3, strides=1, padding="same"),
    "one_pixel": lambda: keras.Sequential(
        [layers.MaxPooling2D(6), layers.MaxPooling2D(2, padding="same")]
    ),
    "cut": lambda: layers.MaxPooling2D(5),
    "average": lambda: layers.AveragePooling2D(2),
}


@pytest.mark.tensorflow  # the one backend whose pooling is replaced
@pytest.mark.parametrize("pooling", POOLING)
@pytest.mark.usefixtures("float64")
def test_pooling(pooling):
    model = compiled(
        layers.Conv2D(1, 2, padding="same", activation="softplus"),
        POOLING[pooling](),
        layers.Flatten(),
        layers.Dense(2, "tanh"),
        inputs=(6, 6, 1),
    )
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(3, 6, 6, 1)), rng.integers(0, 2, 3)
    _, hessian = dense_hessian(model, batch)
    vector = random_vector(model)
    for product in products(model, batch, vector):
        expected = hessian @ vector
        atol = RTOL * np.abs(expected).max()
        np.testing.assert_allclose(product, expected, atol=atol)


@pytest.mark.parametrize(
    "arguments", [{"jit_compile": True}, {"run_eagerly": True}], ids=str
)
@pytest.mark.parametrize("build", [small_models.mlp, small_models.bn_cnn])
@pytest.mark.skipif(BACKEND == "torch", reason="eager in any case")
def test_other_ways_to_compile(build, arguments):
    model, batch = build(jit_compile=False)
    vector = random_vector(model)
    expected, _ = products(model, batch, vector)
    other, _ = build(**arguments)
    other.set_weights(model.get_weights())
    for product in products(other, batch, vector):
        np.testing.assert_allclose(
            product, expected, atol=1e-5 * np.abs(expected).max()
        )


def test_at_other_weights():
    model, batch = small_models.bn_cnn()
    other, _ = small_models.bn_cnn()
    vector = random_vector(model)
    moved = [
        np.array(v.numpy()) + 0.1 * direction
        for v, direction in zip(
            model.trainable_variables,
            unflat(model, random_vector(model, 1)),
            strict=True,
        )
    ]
    for variable, value in zip(other.trainable_variables, moved, strict=True):
        variable.assign(value)
    _, expected = products(other, batch, vector)
    tensors = list(map(keras.ops.convert_to_tensor, moved))
    _, found = products(model, batch, vector, weights=tensors)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_loss_scaling_does_not_scale_products():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, batch = small_models.mlp()
    finally:
        keras.config.set_dtype_policy("float32")
    plain, _ = small_models.mlp()
    plain.set_weights(model.get_weights())
    vector = random_vector(model)
    expected, _ = products(plain, batch, vector)
    for product in products(model, batch, vector):
        np.testing.assert_allclose(
            product, expected, atol=0.02 * np.abs(expected).max()
        )


def test_everything_is_as_before():
    originals = _patched()
    model, (x, y) = small_models.noisy_bn_cnn()
    model.fit(x, y, verbose=0)
    before = [np.array(v.numpy()) for v in model.variables]
    products(model, (x, y), random_vector(model))
    assert autodiff.stops_gradients(model, *to_tensors(model, x, y)) in (True, False)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert _patched() == originals


def test_what_is_replaced_is_restored_after_an_exception():
    originals = _patched()
    model, (x, y) = small_models.mlp()
    with pytest.raises(Exception, match=r"shape|dimension|size|incompatible"):
        autodiff.linearize(model, *to_tensors(model, x[:, :3], y))
    assert _patched() == originals


def _patched():
    """The functions that are replaced while a product is traced."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.nn.moments, tf.nn.max_pool, tf.stop_gradient
    if BACKEND == "jax":
        import jax

        return jax.lax.stop_gradient
    import torch

    return torch.Tensor.detach


@pytest.mark.tensorflow
@pytest.mark.usefixtures("float64")
def test_tensorflow_moments_of_any_layer():
    import tensorflow as tf

    class Standardize(layers.Layer):
        def call(self, x):
            mean, variance = tf.nn.moments(x, [0])
            return (x - mean) / tf.sqrt(variance + 0.1)

    model = compiled(layers.Dense(3), Standardize(), layers.Dense(3))
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(4, 5)), rng.integers(0, 3, 4)
    _, hessian = dense_hessian(model, batch)
    vector = random_vector(model)
    for product in products(model, batch, vector):
        np.testing.assert_allclose(product, hessian @ vector, atol=1e-8)
