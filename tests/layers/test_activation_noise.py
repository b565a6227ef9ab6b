import inspect

import keras
import numpy as np
import pytest

from keras_bnsmooth.layers import ActivationNoise


def to_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_nothing_happens_at_inference(rng):
    x = rng.normal(size=(4, 3)).astype("float32")
    layer = ActivationNoise()
    np.testing.assert_array_equal(to_numpy(layer(x)), x)
    np.testing.assert_array_equal(to_numpy(layer(x, training=False)), x)
    assert np.any(to_numpy(layer(x, training=True)) != x)


def test_not_trainable_is_still_noisy(rng):
    x = rng.normal(size=(4, 3)).astype("float32")
    layer = ActivationNoise()
    layer.trainable = False
    assert np.any(to_numpy(layer(x, training=True)) != x)


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_channels_lie_along_the_axis(axis):
    layer = ActivationNoise(r_mu=0, axis=axis, seed=0)
    shift = to_numpy(layer(np.zeros((6, 5, 4), "float32"), training=True))
    channels = np.moveaxis(shift, axis, 0).reshape(shift.shape[axis], -1)
    np.testing.assert_array_equal(np.ptp(channels, axis=1), 0)
    assert len(np.unique(channels[:, 0])) == len(channels)


def test_the_gradient_is_the_scale_that_was_drawn(rng, gradient):
    layer = ActivationNoise(seed=0)
    x, upstream = rng.normal(size=(2, 50, 4)).astype("float32")
    layer.build(x.shape)
    state = [v.value for v in layer.non_trainable_variables]

    def replay(x):
        return layer.stateless_call([], state, x, training=True)[0]

    scale = to_numpy(replay(x + 1)) - to_numpy(replay(x))
    found = gradient(replay, x, upstream)
    np.testing.assert_allclose(found, upstream * scale, atol=2e-6)


def test_a_seed_decides_the_noise_of_every_step(rng):
    x = rng.normal(size=(8, 3)).astype("float32")

    def steps(seed):
        layer = ActivationNoise(seed=seed)
        return np.array([to_numpy(layer(x, training=True)) for _ in range(3)])

    np.testing.assert_array_equal(steps(7), steps(7))
    assert np.all(np.any(steps(7) != steps(8), axis=(1, 2)))
    assert np.all(np.any(steps(None) != steps(None), axis=(1, 2)))


@pytest.mark.parametrize(
    ("policy", "dtype"),
    [
        ("mixed_float16", "float16"),
        ("mixed_bfloat16", "bfloat16"),
        ("float64", "float64"),
    ],
)
def test_outputs_have_the_compute_dtype(policy, dtype):
    layer = ActivationNoise(dtype=policy)
    outputs = layer(np.ones((4, 3), "float32"), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_perturbed_in_float32(dtype, rng):
    x = keras.ops.cast(rng.normal(size=(50, 3)), dtype)
    half, single = ActivationNoise(dtype=dtype, seed=1), ActivationNoise(seed=1)
    outputs = half(x, training=True)
    exact = single(keras.ops.cast(x, "float32"), training=True)
    rounded = keras.ops.cast(keras.ops.cast(exact, dtype), "float32")
    outputs = keras.ops.cast(outputs, "float32")
    np.testing.assert_array_equal(to_numpy(outputs), to_numpy(rounded))


def test_double_precision_noise_has_all_its_digits():
    layer = ActivationNoise(dtype="float64", seed=0)
    for value in (0.0, 1.0):
        noise = to_numpy(layer(np.full((40, 25), value), training=True))
        assert np.mean(noise.astype("float32") == noise) < 0.01


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_mu", -0.1),
        ("n_mu", float("nan")),
        ("n_mu", float("inf")),
        ("n_sigma", 0.99),
        ("n_sigma", "1"),
        ("r_mu", -1),
        ("r_sigma", -1e-9),
        ("r_sigma", None),
        ("axis", 0.0),
        ("axis", (1,)),
        ("seed", "one"),
    ],
)
def test_wrong_arguments_are_named(name, value):
    with pytest.raises(ValueError) as error:
        ActivationNoise(**{name: value})
    message = str(error.value)
    assert f"`{name}`" in message
    assert str(value) in message
    assert "\n" not in message


def test_an_axis_out_of_range_is_named():
    with pytest.raises(ValueError, match=r"`axis` must be in \[-2, 1\].*axis=2$"):
        ActivationNoise(axis=2)(np.ones((2, 3)))


def test_save_and_load_without_custom_objects(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            ActivationNoise(
                n_mu=0.1, n_sigma=1.5, r_mu=0.2, r_sigma=0.3, axis=1, seed=3
            ),
        ]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()
    x = np.ones((2, 4, 3), "float32")
    np.testing.assert_array_equal(
        to_numpy(loaded(x, training=True)), to_numpy(model(x, training=True))
    )


def test_config_holds_every_argument():
    arguments = set(inspect.signature(ActivationNoise.__init__).parameters)
    assert arguments - {"self", "kwargs"} <= set(ActivationNoise().get_config())
