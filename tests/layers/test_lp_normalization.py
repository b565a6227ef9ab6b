import inspect

import keras
import numpy as np
import pytest

from keras_bnsmooth.layers import LpNormalization
from tests.layers import normalization_reference as reference

NORMS = [1, 1.5, 2, 3, 20, np.inf]
SHAPE = (4, 3, 5, 2)


def to_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def layer_with_weights(rng, channels, **arguments):
    """A float64 layer with gamma and beta that are not one and zero."""
    layer = LpNormalization(dtype="float64", **arguments)
    return layer, rng.uniform(0.5, 2, channels), rng.normal(size=channels)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("p", NORMS)
def test_training_and_inference_follow_the_definition(p, centered, rng):
    layer, gamma, beta = layer_with_weights(
        rng, 2, p=p, norm_after_centering=centered, momentum=0.7, epsilon=0.01
    )
    layer.build(SHAPE)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    moving_mean, moving_norm = np.zeros(2), np.ones(2)
    # Batch normalization averages variances; every other norm is averaged itself.
    power = 2 if p == 2 and centered else 1
    for _ in range(3):
        x = rng.normal(1, 2, SHAPE)
        mean, norm = reference.statistics(x, p, centered)
        expected = reference.normalize(x, mean, norm, 0.01, gamma, beta)
        # Keras on torch rounds Python numbers, such as p, to single precision.
        np.testing.assert_allclose(
            to_numpy(layer(x, training=True)), expected, rtol=1e-6, atol=1e-7
        )
        moving_mean = 0.7 * moving_mean + 0.3 * mean
        moving_norm = (0.7 * moving_norm**power + 0.3 * norm**power) ** (1 / power)
    np.testing.assert_allclose(to_numpy(layer.moving_mean), moving_mean, rtol=1e-6)
    np.testing.assert_allclose(to_numpy(layer.moving_norm), moving_norm, rtol=1e-6)
    expected = reference.normalize(x, moving_mean, moving_norm, 0.01, gamma, beta)
    for outputs in (layer(x, training=False), layer(x)):
        np.testing.assert_allclose(to_numpy(outputs), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("shape", [(7, 3), SHAPE])
def test_gradient_agrees_with_finite_differences(shape, p, centered, rng, gradient):
    layer = LpNormalization(p, norm_after_centering=centered, dtype="float64")
    x, upstream = rng.normal(1, 2, shape), rng.normal(size=shape)
    found = gradient(lambda x: layer(x, training=True), x, upstream)

    def loss(x):
        mean, norm = reference.statistics(x, p, centered)
        return np.sum(upstream * reference.normalize(x, mean, norm, layer.epsilon))

    expected = np.zeros(shape)
    for index in np.ndindex(shape):
        step = np.zeros(shape)
        step[index] = 1e-6
        expected[index] = (loss(x + step) - loss(x - step)) / 2e-6
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [-1, -2, -4, 0, 1, 3])
@pytest.mark.parametrize("p", [1, 3, np.inf])
def test_any_axis_is_the_last_one_moved(axis, p, rng, gradient):
    x, upstream = rng.normal(1, 2, SHAPE), rng.normal(size=SHAPE)
    layer = LpNormalization(p, axis=axis, dtype="float64")
    last = np.moveaxis(x, axis, -1)
    expected = reference.normalize(
        last, *reference.statistics(last, p, False), layer.epsilon
    )
    outputs = to_numpy(layer(x, training=True))
    np.testing.assert_allclose(np.moveaxis(outputs, axis, -1), expected)
    assert layer.gamma.shape == (SHAPE[axis],)

    channels_last = LpNormalization(p, dtype="float64")
    expected = gradient(
        lambda x: channels_last(x, training=True),
        np.ascontiguousarray(last),
        np.ascontiguousarray(np.moveaxis(upstream, axis, -1)),
    )
    found = gradient(lambda x: layer(x, training=True), x, upstream)
    np.testing.assert_allclose(np.moveaxis(found, axis, -1), expected, atol=1e-12)


@pytest.mark.parametrize("rank", [2, 3, 5])
@pytest.mark.parametrize("p", [2, np.inf])
def test_any_rank_from_two_up(rank, p, rng):
    x = rng.normal(1, 2, (4, 3, 2, 3, 2)[:rank])
    layer = LpNormalization(p, dtype="float64")
    expected = reference.normalize(x, *reference.statistics(x, p, False), layer.epsilon)
    np.testing.assert_allclose(to_numpy(layer(x, training=True)), expected)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("p", NORMS)
def test_mask_selects_the_positions_that_count(p, centered, rng):
    x = rng.normal(1, 2, (6, 5, 3))
    mask = rng.random((6, 5)) < 0.6
    layer = LpNormalization(
        p, norm_after_centering=centered, momentum=0.0, dtype="float64"
    )
    mean, norm = reference.statistics(x, p, centered, mask)
    expected = reference.normalize(x, mean, norm, layer.epsilon)
    np.testing.assert_allclose(to_numpy(layer(x, training=True, mask=mask)), expected)
    np.testing.assert_allclose(to_numpy(layer.moving_norm), norm)
    # What is masked has no part in the statistics, however large it is.
    x[~mask] = 1e9
    layer(x, training=True, mask=mask)
    np.testing.assert_allclose(to_numpy(layer.moving_norm), norm)


def test_mask_comes_from_the_layer_before(rng):
    steps = rng.normal(1, 2, (4, 6, 3)).astype("float32")
    steps[:, 4:] = 0
    model = keras.Sequential(
        [keras.Input((6, 3)), keras.layers.Masking(), LpNormalization(1, momentum=0)]
    )
    model(steps, training=True)
    mean, norm = reference.statistics(steps[:, :4], 1, False)
    np.testing.assert_allclose(
        to_numpy(model.layers[-1].moving_mean), mean, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(to_numpy(model.layers[-1].moving_norm), norm, rtol=1e-5)


@pytest.mark.parametrize("shape", [(8, 3), (4, 3, 5, 3)])
@pytest.mark.parametrize("masked", [False, True])
def test_centered_two_norm_is_batch_normalization(shape, masked, rng, gradient):
    ours = LpNormalization(2, norm_after_centering=True)
    theirs = keras.layers.BatchNormalization()
    mask = rng.random(shape[:-1]) < 0.7 if masked else None
    for _ in range(3):
        x = rng.normal(5, 2, shape).astype("float32")
        np.testing.assert_allclose(
            to_numpy(ours(x, training=True, mask=mask)),
            to_numpy(theirs(x, training=True, mask=mask)),
            atol=1e-5,
        )
    np.testing.assert_allclose(to_numpy(ours(x)), to_numpy(theirs(x)), atol=1e-5)
    upstream = rng.normal(size=shape).astype("float32")
    for training in (True, False):
        found, expected = (
            gradient(lambda x, f=f: f(x, training=training), x, upstream)  # noqa: B023
            for f in (ours, theirs)
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_not_trainable_is_inference(rng):
    x = rng.normal(1, 2, SHAPE).astype("float32")
    layer = LpNormalization(1)
    layer(x, training=True)
    layer.trainable = False
    moving_mean, moving_norm = to_numpy(layer.moving_mean), to_numpy(layer.moving_norm)
    np.testing.assert_array_equal(
        to_numpy(layer(x, training=True)), to_numpy(layer(x, training=False))
    )
    np.testing.assert_array_equal(to_numpy(layer.moving_mean), moving_mean)
    np.testing.assert_array_equal(to_numpy(layer.moving_norm), moving_norm)
    assert layer.trainable_weights == []


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("p", [1, 3, np.inf])
def test_mixed_precision_keeps_the_statistics_in_float32(policy, p, rng):
    layer = LpNormalization(p, dtype=policy, momentum=0)
    # In float16 the sum of 4,096 such numbers would be infinite.
    x = rng.normal(100, 20, (4096, 3)).astype("float32")
    half = keras.ops.cast(x, layer.compute_dtype)
    outputs = layer(half, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    for weight in layer.weights:
        assert keras.backend.standardize_dtype(weight.dtype) == "float32"
    exact = to_numpy(keras.ops.cast(half, "float32")).astype("float64")
    _, norm = reference.statistics(exact, p, False)
    np.testing.assert_allclose(to_numpy(layer.moving_norm), norm, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("centered", [False, True])
def test_half_precision_weights(dtype, centered, rng):
    layer = LpNormalization(2, norm_after_centering=centered, momentum=0, dtype=dtype)
    x = keras.ops.cast(rng.normal(300, 100, (4096, 3)), dtype)
    outputs = layer(x, training=True)
    for tensor in (outputs, layer(x), *layer.weights):
        assert keras.backend.standardize_dtype(tensor.dtype) == dtype
    exact = to_numpy(keras.ops.cast(x, "float32")).astype("float64")
    _, norm = reference.statistics(exact, 2, centered)
    found = to_numpy(keras.ops.cast(layer.moving_norm, "float32"))
    np.testing.assert_allclose(found, norm, rtol=1e-2)


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", ["zeros", "constant", "one sample", "huge", "tiny"])
def test_degenerate_inputs_give_finite_numbers(
    kind, training, centered, p, rng, gradient
):
    x = {
        "zeros": np.zeros((4, 3, 2)),
        "constant": np.full((4, 3, 2), 7.0),
        "one sample": rng.normal(size=(1, 2)),
        "huge": rng.normal(size=(4, 3, 2)) * 1e15,
        "tiny": rng.normal(size=(4, 3, 2)) * 1e-30,
    }[kind].astype("float32")
    layer = LpNormalization(p, norm_after_centering=centered)
    upstream = rng.normal(size=x.shape).astype("float32")
    assert np.isfinite(to_numpy(layer(x, training=training))).all()
    found = gradient(lambda x: layer(x, training=training), x, upstream)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("p", NORMS)
def test_a_mask_that_selects_nothing_gives_finite_numbers(p, gradient):
    layer, x = LpNormalization(p), np.ones((4, 3, 2), "float32")
    mask = np.zeros((4, 3), bool)
    found = gradient(lambda x: layer(x, training=True, mask=mask), x, x)
    assert np.isfinite(found).all()
    assert np.isfinite(to_numpy(layer(x, training=True, mask=mask))).all()


def test_weights_are_those_asked_for():
    layer = LpNormalization(
        center=False,
        gamma_initializer=keras.initializers.Constant(3),
        gamma_regularizer=keras.regularizers.L2(0.5),
        gamma_constraint=keras.constraints.NonNeg(),
        moving_mean_initializer=keras.initializers.Constant(4),
        moving_norm_initializer=keras.initializers.Constant(5),
    )
    layer.build((None, 2))
    assert layer.beta is None
    np.testing.assert_allclose(to_numpy(layer.gamma), [3, 3])
    np.testing.assert_allclose(to_numpy(layer.moving_mean), [4, 4])
    np.testing.assert_allclose(to_numpy(layer.moving_norm), [5, 5])
    np.testing.assert_allclose(to_numpy(layer.losses[0]), 9)
    assert isinstance(layer.gamma.constraint, keras.constraints.NonNeg)
    assert LpNormalization(scale=False, center=False)(np.ones((2, 2))).shape == (2, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p", 0.99),
        ("p", -np.inf),
        ("p", float("nan")),
        ("p", "2"),
        ("p", None),
        ("p", True),
        ("p", 2j),
        ("axis", 1.5),
        ("axis", [1, 2]),
        ("axis", None),
        ("momentum", -0.1),
        ("momentum", 1.1),
        ("momentum", float("nan")),
        ("epsilon", 0),
        ("epsilon", -1e-3),
        ("epsilon", float("nan")),
        ("epsilon", float("inf")),
    ],
)
def test_wrong_arguments_are_named(name, value):
    with pytest.raises(ValueError) as error:
        LpNormalization(**{name: value})
    message = str(error.value)
    assert f"`{name}`" in message
    assert repr(value) in message
    assert "\n" not in message


@pytest.mark.parametrize("axis", [3, -4])
def test_an_axis_out_of_range_is_named(axis):
    layer = LpNormalization(axis=axis)
    for call in (layer.build, layer.compute_output_shape):
        with pytest.raises(ValueError, match=rf"`axis` must be .*axis={axis}$"):
            call((None, 5, 3))


def test_inputs_without_enough_or_known_axes_are_named():
    with pytest.raises(ValueError, match="at least 2 axes"):
        LpNormalization().build((3,))
    with pytest.raises(ValueError, match="`axis` must name an axis of known size"):
        LpNormalization(axis=1).build((None, None, 3))


def test_a_mask_of_the_wrong_rank_is_named(rng):
    for training in (True, False):
        with pytest.raises(ValueError, match=r"`mask` .*\(4, 5, 3\).*\(4, 5, 3\)"):
            LpNormalization()(
                np.ones((4, 5, 3)), mask=np.ones((4, 5, 3)), training=training
            )


@pytest.mark.parametrize("p", [1.5, np.inf])
def test_save_and_load_without_custom_objects(p, rng, tmp_path):
    x = rng.normal(1, 2, (8, 4, 3)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            LpNormalization(
                p, axis=1, momentum=0.5, epsilon=0.1, norm_after_centering=True
            ),
        ]
    )
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()
    np.testing.assert_array_equal(to_numpy(loaded(x)), to_numpy(model(x)))


def test_when_the_norm_is_taken_is_passed_by_name():
    parameters = inspect.signature(LpNormalization).parameters
    kind = parameters["norm_after_centering"].kind
    assert kind is inspect.Parameter.KEYWORD_ONLY


def test_config_holds_every_argument():
    arguments = set(inspect.signature(LpNormalization.__init__).parameters)
    config = LpNormalization(3, beta_regularizer="l2").get_config()
    assert arguments - {"self", "kwargs"} <= set(config)
    assert LpNormalization.from_config(config).get_config() == config


@pytest.mark.parametrize("p", [1, 2, 3, np.inf])
@pytest.mark.parametrize("axis", [1, -1])
def test_compiled_training_with_unknown_sizes(p, axis, rng):
    """`fit` under XLA gives the moving statistics of the definition."""
    x = rng.normal(1, 2, (12, 4, 3)).astype("float32")
    layer = LpNormalization(p, axis=axis, momentum=0, center=False)
    shape = (4, None) if axis == 1 else (None, 3)
    model = keras.Sequential([keras.Input(shape), layer])
    assert model.output_shape == (None, *shape)
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=True)
    model.fit(x, x, batch_size=12, verbose=0)
    mean, norm = reference.statistics(np.moveaxis(x, axis, -1), p, False)
    np.testing.assert_allclose(to_numpy(layer.moving_mean), mean, atol=1e-5)
    np.testing.assert_allclose(to_numpy(layer.moving_norm), norm, rtol=1e-5)


@pytest.mark.tensorflow  # Nested gradient tapes.
@pytest.mark.parametrize("p", [1.5, 2, 3])
@pytest.mark.parametrize("centered", [False, True])
def test_second_derivatives(p, centered, rng, gradient):
    """The gradient of a gradient agrees with its finite differences."""
    x, upstream, direction = rng.normal(1, 2, (3, 6, 2))
    layer = LpNormalization(p, norm_after_centering=centered, dtype="float64")
    layer.build(x.shape)
    layer(x, training=True)
    import tensorflow as tf

    def slope(x):
        """Derivative of a curved loss along `direction`."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(upstream * layer(x, training=True) ** 3)
        return tf.reduce_sum(direction * tape.gradient(loss, x))

    def numpy_slope(x):
        return to_numpy(slope(tf.constant(x)))

    expected = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-5
        expected[index] = (numpy_slope(x + step) - numpy_slope(x - step)) / 2e-5
    for function in (slope, tf.function(slope)):
        found = gradient(function, x, 1.0)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 4), (0, 5, 5, 4)])
@pytest.mark.parametrize("p", [1, 2, 3, np.inf])
def test_an_empty_batch_is_returned_as_batch_normalization_returns_it(p, shape):
    empty = keras.ops.zeros(shape)
    for layer in (LpNormalization(p), keras.layers.BatchNormalization()):
        assert tuple(layer(empty, training=True).shape) == shape
        # As the mean of nothing.
        assert np.isnan(keras.ops.convert_to_numpy(layer.moving_mean)).all()


@pytest.mark.parametrize("mask", [None, np.ones((16, 3, 3), bool)])
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("size", [1e10, 1e19, 1e28, 1e36])
@pytest.mark.parametrize("p", [1, 1.5, 3, np.inf])
def test_huge_inputs_are_normalized_as_in_float64(p, size, centered, mask, rng):
    x = (rng.normal(1, 2, (16, 3, 3, 2)) * size).astype("float32")
    layer = LpNormalization(p, norm_after_centering=centered, momentum=0)
    mean, norm = reference.statistics(x.astype("float64"), p, centered)
    expected = reference.normalize(x.astype("float64"), mean, norm, layer.epsilon, 1, 0)
    for training in (True, False):
        outputs = layer(x, training=training, mask=mask)
        np.testing.assert_allclose(to_numpy(outputs), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(to_numpy(layer.moving_norm), norm, rtol=1e-5)


@pytest.mark.parametrize("centered", [False, True])
def test_squares_that_overflow_give_nan(centered, rng):
    """Not the offset alone, as a norm of infinity would."""
    x = (rng.normal(size=(16, 2)) * 1e18).astype("float32")
    x[:, 1] *= 100
    layer = LpNormalization(2, norm_after_centering=centered)
    outputs = to_numpy(layer(x, training=True))
    np.testing.assert_array_equal(np.isnan(outputs).all(axis=0), [False, True])
    mean, norm = reference.statistics(x[:, :1].astype("float64"), 2, centered)
    expected = reference.normalize(x[:, :1], mean, norm, layer.epsilon, 1, 0)
    np.testing.assert_allclose(outputs[:, :1], expected, rtol=1e-4, atol=1e-5)
