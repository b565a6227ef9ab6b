"""Where Keras puts BatchNormalization, the layers behave as it does."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_bnsmooth.layers import (
    ActivationNoise,
    LpNormalization,
    NoisyBatchNormalization,
)
from tests.layers import normalization_reference as reference

RNG = np.random.default_rng(0)
BACKEND = keras.backend.backend()


def norm(p):
    return lambda **arguments: LpNormalization(p, **arguments)


NORMALIZATIONS = {
    "bn": layers.BatchNormalization,
    **{f"l{p}": norm(p) for p in (1, 2, 3, np.inf)},
    "noisy_bn": NoisyBatchNormalization,
}
LAYERS = {**NORMALIZATIONS, "noise": ActivationNoise}
every_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
every_normalization = pytest.mark.parametrize(
    "make", NORMALIZATIONS.values(), ids=NORMALIZATIONS
)


def to_numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@every_layer
@pytest.mark.parametrize("shape", [(0, 3), (0, 2, 4, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_returns_empty_batches(make, shape, training):
    outputs = make()(np.zeros(shape, "float32"), training=training)
    assert tuple(outputs.shape) == shape


@every_normalization
def test_returns_empty_batches_with_a_mask(make):
    x, mask = np.zeros((0, 4, 3), "float32"), np.zeros((0, 4), bool)
    assert tuple(make()(x, training=True, mask=mask).shape) == (0, 4, 3)


@every_normalization
def test_moving_statistics_after_an_empty_batch(make):
    layer = make()
    layer(np.zeros((0, 3), "float32"), training=True)
    for variable in layer.non_trainable_variables:
        if variable.name.startswith("moving"):
            assert np.isnan(to_numpy(variable)).all()


@every_layer
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_trains_in_half_precision(make, dtype):
    keras.utils.set_random_seed(0)
    layer = make(dtype=dtype)
    model = keras.Sequential([keras.Input((4,), dtype=dtype), layer])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    x = RNG.normal(size=(16, 4))
    losses = model.fit(x, x, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    outputs = layer(ops.cast(x, dtype), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    weights = [v for v in layer.variables if "seed" not in v.path]
    assert {v.dtype for v in weights} <= {dtype}


@pytest.mark.parametrize("p", [1, 2, 3, np.inf])
@pytest.mark.parametrize(("dtype", "digits"), [("float16", 3), ("bfloat16", 2)])
def test_values_in_half_precision(p, dtype, digits):
    x = to_numpy(ops.cast(RNG.normal(1, 2, (64, 3)), dtype)).astype(np.float64)
    layer = LpNormalization(p, dtype=dtype)
    found = to_numpy(layer(ops.cast(x, dtype), training=True))
    mean, length = reference.statistics(x, p, False)
    expected = reference.normalize(x, mean, length, 1e-3)
    np.testing.assert_allclose(found, expected, atol=4 * 10.0**-digits)


@every_normalization
def test_a_batch_of_single_features(make):
    layer = make()
    outputs = layer(np.full((8, 1), 5.0, "float32"), training=True)
    assert tuple(outputs.shape) == (8, 1)
    if not isinstance(layer, NoisyBatchNormalization):
        np.testing.assert_array_equal(to_numpy(outputs), np.zeros((8, 1)))


@every_layer
def test_sizes_that_are_not_known_and_cloned_models(make):
    model = keras.Sequential(
        [keras.Input((None, None, 3)), make(), layers.Conv2D(2, 1)]
    )
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for size in (3, 5):
        x = RNG.normal(size=(2, size, size + 1, 3)).astype("float32")
        outputs = clone(x)
        assert tuple(outputs.shape) == (2, size, size + 1, 2)
        np.testing.assert_allclose(to_numpy(outputs), to_numpy(model(x)), rtol=1e-6)


@every_layer
def test_in_time_distributed(make):
    inner = make()
    wrapped = layers.TimeDistributed(inner)
    model = keras.Sequential([keras.Input((5, 3)), wrapped])
    model.compile("sgd", "mse")
    x = RNG.normal(3, 1, (4, 5, 3)).astype("float32")
    model.fit(x, x, verbose=0)
    alone = make()
    alone.build((None, 3))
    alone.set_weights(inner.get_weights())
    expected = alone(x.reshape(-1, 3), training=False)
    np.testing.assert_allclose(
        to_numpy(wrapped(x, training=False)).reshape(-1, 3),
        to_numpy(expected),
        rtol=1e-5,
    )


@every_layer
def test_after_a_bidirectional_layer(make):
    recurrent = layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True))
    model = keras.Sequential([keras.Input((5, 3)), recurrent, make()])
    model.compile("sgd", "mse")
    x, y = np.ones((4, 5, 3)), np.ones((4, 5, 4))
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"]).all()


@every_layer
def test_in_a_quantized_model(make):
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8), make(), layers.Dense(2)]
    )
    x = RNG.normal(size=(4, 8)).astype("float32")
    expected = to_numpy(model(x))
    model.quantize("int8")
    np.testing.assert_allclose(to_numpy(model(x)), expected, atol=0.2)


@pytest.mark.tensorflow
@every_layer
def test_exported_models(make, tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((3,)), make(), layers.Dense(2)])
    path = str(tmp_path / "model")
    model.export(path, verbose=False)
    x = RNG.normal(size=(4, 3)).astype("float32")
    exported = tf.saved_model.load(path)  # its variables live as long as it does
    np.testing.assert_allclose(
        np.array(exported.serve(x)), to_numpy(model(x)), rtol=1e-5
    )


@pytest.mark.skipif(
    BACKEND != "torch",
    reason="Keras does not pass training=True through its rematerialization here",
)
@every_normalization
def test_rematerialized(make):
    """The update is that without rematerialization, in which seeds are drawn anew."""
    x = RNG.normal(size=(8, 3)).astype("float32")
    found = []
    for mode in (None, "full"):
        keras.utils.set_random_seed(0)
        with keras.RematScope(mode=mode):
            layer = make()
        if isinstance(layer, NoisyBatchNormalization):
            pytest.skip("Keras draws other seeds when it evaluates a layer again")
        model = keras.Sequential(
            [keras.Input((3,)), layers.Dense(3), layer, layers.Dense(1)]
        )
        model.compile("sgd", "mse")
        model.fit(x, x[:, :1], verbose=0)
        found.append([to_numpy(v) for v in model.trainable_variables])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
