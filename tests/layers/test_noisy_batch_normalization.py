import inspect

import keras
import numpy as np
import pytest

from keras_bnsmooth.layers import ActivationNoise, NoisyBatchNormalization

QUIET = {"n_mu": 0, "n_sigma": 1, "r_mu": 0, "r_sigma": 0}


def to_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def twins(**arguments):
    """Keras' layer and ours without noise."""
    return (
        keras.layers.BatchNormalization(**arguments),
        NoisyBatchNormalization(**QUIET, **arguments),
    )


KERAS_SIGNATURE = inspect.signature(keras.layers.BatchNormalization.__init__)
needs_renorm = pytest.mark.skipif(
    "renorm" not in KERAS_SIGNATURE.parameters, reason="Keras without renorm"
)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"axis": 1, "momentum": 0.5, "epsilon": 0.1},
        {"axis": -2, "center": False},
        {"axis": 0, "scale": False},
        pytest.param(
            {"renorm": True, "renorm_clipping": {"rmax": 1.5, "dmax": 1.0}},
            marks=needs_renorm,
        ),
        {"beta_initializer": "ones", "moving_variance_initializer": "zeros"},
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_without_noise_it_is_batch_normalization(arguments, masked, rng, gradient):
    theirs, ours = twins(**arguments)
    mask = rng.random((8, 3)) < 0.6 if masked else None
    for _ in range(3):
        x = rng.normal(1, 2, (8, 3, 5)).astype("float32")
        expected = to_numpy(theirs(x, training=True, mask=mask))
        outputs = to_numpy(ours(x, training=True, mask=mask))
        np.testing.assert_array_equal(outputs, expected)
    upstream = rng.normal(size=x.shape).astype("float32")
    for training in (True, False):
        found, expected = (
            gradient(lambda x, f=f: f(x, training=training, mask=mask), x, upstream)  # noqa: B023
            for f in (ours, theirs)
        )
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(to_numpy(ours(x)), to_numpy(theirs(x)))
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))


def test_positional_arguments_are_those_of_batch_normalization():
    ours = inspect.signature(NoisyBatchNormalization.__init__)
    positional = [
        (p.name, p.default)
        for p in ours.parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    keras_parameters = list(KERAS_SIGNATURE.parameters.values())
    assert positional[-1][0] == "gamma_constraint"
    assert positional == [
        (p.name, p.default) for p in keras_parameters[: len(positional)]
    ]
    arguments = (1, 0.9, 0.01, False, True, "ones", "zeros", "ones", "zeros")
    arguments += ("l1", "l2", "non_neg", "unit_norm")
    theirs = keras.layers.BatchNormalization(*arguments, name="bn").get_config()
    ours = NoisyBatchNormalization(*arguments, name="bn").get_config()
    noise = {"n_mu": 0.5, "n_sigma": 1.25, "r_mu": 0.1, "r_sigma": 0.1, "seed": None}
    assert ours == {**theirs, **noise}


def test_noise_comes_after_the_normalization(rng):
    """The same seed gives the noise of ActivationNoise on top of Keras' outputs."""
    x = rng.normal(1, 2, (8, 5, 3)).astype("float32")
    arguments = {"beta_initializer": keras.initializers.Constant(2)}
    noisy = NoisyBatchNormalization(seed=3, **arguments)
    plain, noise = keras.layers.BatchNormalization(**arguments), ActivationNoise(seed=3)
    for _ in range(2):
        expected = noise(plain(x, training=True), training=True)
        np.testing.assert_allclose(
            to_numpy(noisy(x, training=True)), to_numpy(expected), atol=1e-5
        )
    np.testing.assert_allclose(
        to_numpy(noisy.moving_mean), to_numpy(plain.moving_mean), rtol=1e-5
    )


def test_no_noise_at_inference_and_when_not_trainable(rng):
    x = rng.normal(1, 2, (8, 3)).astype("float32")
    theirs, ours = keras.layers.BatchNormalization(), NoisyBatchNormalization(seed=0)
    for layer in (theirs, ours):
        layer(x, training=True)
    np.testing.assert_allclose(to_numpy(ours(x)), to_numpy(theirs(x)), atol=1e-6)
    ours.trainable = False
    state = [to_numpy(v) for v in ours.non_trainable_variables]
    np.testing.assert_array_equal(to_numpy(ours(x, training=True)), to_numpy(ours(x)))
    for before, after in zip(state, ours.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(before, to_numpy(after))


def test_the_same_state_replays_the_same_noise(rng):
    x = rng.normal(size=(8, 3)).astype("float32")
    layer = NoisyBatchNormalization()
    layer.build(x.shape)
    trainable = [v.value for v in layer.trainable_variables]
    state = [v.value for v in layer.non_trainable_variables]
    first, moved = layer.stateless_call(trainable, state, x, training=True)
    again, _ = layer.stateless_call(trainable, state, x, training=True)
    later, _ = layer.stateless_call(trainable, moved, x, training=True)
    np.testing.assert_array_equal(to_numpy(first), to_numpy(again))
    assert np.any(to_numpy(first) != to_numpy(later))


def test_no_gradient_flows_through_the_draws(rng, gradient):
    """The gradient is that of batch normalization at `s` times the upstream one."""
    x, upstream = rng.normal(size=(2, 6, 3)).astype("float32")
    layer, plain = NoisyBatchNormalization(seed=0), keras.layers.BatchNormalization()
    layer.build(x.shape)
    state = [v.value for v in layer.non_trainable_variables]

    def replay(x, gamma=1.0, beta=0.0):
        weights = [np.full(3, v, "float32") for v in (gamma, beta)]
        weights = [keras.ops.convert_to_tensor(v) for v in weights]
        return layer.stateless_call(weights, state, x, training=True)[0]

    # With gamma = 0 every normalized activation is beta.
    m, s_plus_m = (to_numpy(replay(x, gamma=0.0, beta=b)) for b in (0.0, 1.0))
    found = gradient(replay, x, upstream)
    expected = gradient(lambda x: plain(x, training=True), x, upstream * (s_plus_m - m))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_the_statistics_in_float32(policy, rng):
    layer = NoisyBatchNormalization(momentum=0, dtype=policy)
    x = keras.ops.cast(rng.normal(300, 100, (4096, 3)), layer.compute_dtype)
    outputs = layer(x, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    exact = to_numpy(keras.ops.cast(x, "float32")).astype("float64")
    np.testing.assert_allclose(to_numpy(layer.moving_mean), exact.mean(0), rtol=1e-4)
    np.testing.assert_allclose(to_numpy(layer.moving_variance), exact.var(0), rtol=1e-4)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "x",
    [np.zeros((4, 3, 2)), np.full((4, 3, 2), 7.0), np.array([[1.0, -2.0]])],
    ids=["zeros", "constant", "one sample"],
)
def test_degenerate_inputs_give_finite_numbers(x, training, gradient):
    x = x.astype("float32")
    layer = NoisyBatchNormalization()
    assert np.isfinite(to_numpy(layer(x, training=training))).all()
    found = gradient(lambda x: layer(x, training=training), x, x + 1)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_mu", -1),
        ("n_sigma", 0.5),
        ("n_sigma", float("nan")),
        ("r_mu", -0.1),
        ("r_sigma", float("inf")),
        ("axis", 0.5),
        ("axis", [-1]),
        ("momentum", 2),
        ("momentum", None),
        ("epsilon", 0.0),
        ("epsilon", float("nan")),
    ],
)
def test_wrong_arguments_are_named(name, value):
    with pytest.raises(ValueError) as error:
        NoisyBatchNormalization(**{name: value})
    message = str(error.value)
    assert f"`{name}`" in message
    assert repr(value) in message
    assert "\n" not in message


def test_wrong_axes_and_masks_are_named():
    with pytest.raises(ValueError, match=r"`axis` must be in \[-2, 1\].*axis=-3$"):
        NoisyBatchNormalization(axis=-3)(np.ones((2, 3)))
    for training in (True, False):
        with pytest.raises(ValueError, match=r"mask.* should be one dimension less"):
            NoisyBatchNormalization()(
                np.ones((2, 4, 3)), mask=np.ones(2), training=training
            )


def test_save_and_load_without_custom_objects(rng, tmp_path):
    x = rng.normal(1, 2, (8, 4, 3)).astype("float32")
    noise = {"n_mu": 0.1, "n_sigma": 1.5, "r_mu": 0.2, "r_sigma": 0.3}
    layer = NoisyBatchNormalization(1, 0.5, seed=3, **noise)
    model = keras.Sequential([keras.Input((4, 3)), layer])
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == layer.get_config()
    np.testing.assert_array_equal(to_numpy(loaded(x)), to_numpy(model(x)))


def test_config_holds_every_argument():
    arguments = set(inspect.signature(NoisyBatchNormalization.__init__).parameters)
    arguments |= set(KERAS_SIGNATURE.parameters)
    config = NoisyBatchNormalization(center=False, gamma_constraint="non_neg")
    config = config.get_config()
    arguments -= {"self", "kwargs"}
    assert arguments <= set(config)
    assert NoisyBatchNormalization.from_config(config).get_config() == config


@pytest.mark.parametrize("axis", [1, -1])
def test_compiled_training_with_unknown_sizes(axis, rng):
    x = rng.normal(1, 2, (12, 4, 3)).astype("float32")
    layer = NoisyBatchNormalization(axis=axis, momentum=0)
    shape = (4, None) if axis == 1 else (None, 3)
    model = keras.Sequential([keras.Input(shape), layer, ActivationNoise(axis=axis)])
    assert model.output_shape == (None, *shape)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=True)
    history = model.fit(x, x, batch_size=12, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    samples = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
    np.testing.assert_allclose(
        to_numpy(layer.moving_mean), samples.mean(axis=0), atol=1e-5
    )
