import keras
import numpy as np
import pytest

import keras_bnsmooth as kb
from keras_bnsmooth.probes.layer_list import weight_layers
from tests.probes import reference
from tests.probes.example_models import KINDS, PAPER

float64 = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="Keras rounds float64 to float32 in losses off TensorFlow",
)


def arrays(model):
    # Copies, since on torch `numpy()` shows the variable's own memory.
    return [np.array(v.numpy()) for v in model.trainable_variables]


def flat(values, positions):
    return np.concatenate([np.asarray(values[i], float).ravel() for i in positions])


def linear(optimizer=None, dtype="float32"):
    """One layer that computes w x + b, with w = (3, 4) and b = 0."""
    layer = keras.layers.Dense(1, name="dense", dtype=dtype)
    model = keras.Sequential([keras.Input((2,), dtype=dtype), layer])
    model.compile(optimizer or keras.optimizers.SGD(0.5), "mse")
    layer.kernel.assign([[3.0], [4.0]])
    return model


def test_norms_worked_out_by_hand():
    model = linear()
    before = arrays(model)
    # Loss (3 x1 + 4 x2 - y)^2 at x = (1, 0), y = 1: residual 2, gradient (4, 0), 4.
    x, y = np.array([[1.0, 0.0]]), np.array([[1.0]])
    model.train_on_batch(x, y)
    r = kb.probes.layer_scales(model, before, arrays(model), 0.5)
    assert r.layers == ["dense"]
    np.testing.assert_allclose(r.weight_norm, 5)
    np.testing.assert_allclose(r.gradient_norm, np.sqrt(32), rtol=1e-6)
    np.testing.assert_allclose(r.update_ratio, 0.5 * np.sqrt(32) / 5, rtol=1e-6)
    assert np.isnan(r.effective_learning_rate).all()
    assert np.isnan([*r.distance, r.total_distance]).all()
    initial = [before[0] - [[2.0], [3.0]], before[1] + 6]
    r = kb.probes.layer_scales(model, before, before, 0.5, initial_weights=initial)
    assert (r.distance.tolist(), r.total_distance) == ([7], 7)
    given = kb.probes.layer_scales(model, before, before, 0.5, x=x, y=y)
    np.testing.assert_allclose(given.gradient_norm, np.sqrt(32), rtol=1e-6)
    assert given.update_ratio == 0


@pytest.mark.parametrize("kind", PAPER + KINDS)
def test_the_gradient_on_a_batch_is_that_of_the_training_loss(kind):
    model, (x, y, *sample_weight) = kind()
    sample_weight = sample_weight[0] if sample_weight else None
    weights = [w * 1.1 for w in arrays(model)]
    _, g = reference.value_and_grad(model, weights, x, y, sample_weight)
    r = kb.probes.layer_scales(
        model, weights, weights, 0.1, x=x, y=y, sample_weight=sample_weight
    )
    expected = [
        np.linalg.norm(flat(g, layer.positions)) for layer in weight_layers(model)
    ]
    scale = max(expected)
    np.testing.assert_allclose(r.gradient_norm, expected, rtol=1e-4, atol=1e-5 * scale)


def sequential(dtype, optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,), dtype=dtype),
            keras.layers.Dense(5, name="a", dtype=dtype),
            keras.layers.BatchNormalization(name="bn", dtype=dtype),
            keras.layers.Dense(2, name="b", dtype=dtype),
        ]
    )
    loss = keras.losses.MeanSquaredError(dtype=dtype)
    model.compile(optimizer, loss)
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(8, 4)), rng.normal(size=(8, 2))


@float64
def test_the_gradient_of_sgd_is_recovered_in_float64():
    rate = 0.125  # exact in float32, in which Keras keeps learning rates
    model, x, y = sequential("float64", keras.optimizers.SGD(rate))
    before = arrays(model)
    _, g = reference.value_and_grad(model, before, x, y)
    model.train_on_batch(x, y)
    r = kb.probes.layer_scales(model, before, arrays(model), rate)
    assert r.layers == ["a", "bn", "b"]
    expected = [np.linalg.norm(flat(g, (0, 1)))]
    expected += [np.linalg.norm(flat(g, p)) for p in ((2, 3), (4, 5))]
    np.testing.assert_allclose(r.gradient_norm, expected, rtol=1e-12)
    kernel = np.linalg.norm(before[0])
    np.testing.assert_allclose(r.effective_learning_rate[0], rate / kernel**2)
    assert np.isnan(r.effective_learning_rate[1:]).all()


def test_the_gradient_of_sgd_is_recovered_in_float32():
    model, x, y = sequential("float32", keras.optimizers.SGD(0.1))
    before = arrays(model)
    _, g = reference.value_and_grad(model, before, x, y)
    model.train_on_batch(x, y)
    r = kb.probes.layer_scales(model, before, arrays(model), 0.1)
    expected = [np.linalg.norm(flat(g, p)) for p in ((0, 1), (2, 3), (4, 5))]
    np.testing.assert_allclose(r.gradient_norm, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(0.1),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        lambda: keras.optimizers.SGD(0.1, weight_decay=0.1),
        lambda: keras.optimizers.SGD(0.1, clipnorm=1.0),
        lambda: keras.optimizers.SGD(0.1, clipvalue=1.0),
        lambda: keras.optimizers.SGD(0.1, global_clipnorm=1.0),
        lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
        lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=1),
        lambda: type("Own", (keras.optimizers.SGD,), {})(0.1),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1)),
    ],
)
def test_other_updates_do_not_tell_the_gradient(optimizer):
    model = linear(optimizer())
    before = arrays(model)
    r = kb.probes.layer_scales(model, before, [w - 1 for w in before], 0.1)
    assert np.isnan(r.gradient_norm).all()
    np.testing.assert_allclose(r.update_ratio, np.sqrt(3) / 5)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.5, use_ema=True),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5)),
    ],
)
def test_sgd_with_averages_and_loss_scales_tells_it(optimizer):
    model = linear(optimizer())
    before = arrays(model)
    model.train_on_batch(np.array([[1.0, 0.0]]), np.array([[1.0]]))
    r = kb.probes.layer_scales(model, before, arrays(model), 0.5)
    np.testing.assert_allclose(r.gradient_norm, np.sqrt(32), rtol=1e-6)


def test_layers_with_constraints_do_not_tell_it():
    model = linear()
    model.get_layer("dense").kernel.constraint = keras.constraints.UnitNorm()
    before = arrays(model)
    r = kb.probes.layer_scales(model, before, [w - 1 for w in before], 0.5)
    assert np.isnan(r.gradient_norm).all()


def test_a_gradient_that_rounding_hides_is_not_told():
    """A gradient of s (1, 1, ...) from weights of 1, in float32."""
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    ones = [np.ones((100, 1), "float32"), np.zeros(1, "float32")]
    told = {}
    for size in (1e-9, 1e-8, 3e-7, 1.1e-6, 1.3e-6, 1e-5, 1e-3):
        moved = [ones[0] - np.float32(size), ones[1]]
        r = kb.probes.layer_scales(model, ones, moved, 1.0)
        error = abs(np.linalg.norm(ones[0] - moved[0]) / 10 - size) / size
        told[size] = bool(np.isfinite(r.gradient_norm).all())
        assert error <= 0.05 or not told[size]
    assert told == {1e-9: False, 1e-8: False, 3e-7: False} | {
        1.1e-6: False,
        1.3e-6: True,
        1e-5: True,
        1e-3: True,
    }


def test_weights_of_zero():
    model = linear()
    zeros = [np.zeros_like(w) for w in arrays(model)]
    still = kb.probes.layer_scales(model, zeros, zeros, 0.5)
    assert np.isnan(still.update_ratio).all()
    assert still.gradient_norm == still.weight_norm == 0
    moved = kb.probes.layer_scales(model, zeros, [w + 1 for w in zeros], 0.5)
    assert np.isinf(moved.update_ratio).all()
    np.testing.assert_allclose(moved.gradient_norm, 2 * np.sqrt(3))


def test_small_and_large_weights_neither_vanish_nor_overflow():
    model = linear()
    for scale in (1e-25, 1e25):
        weights = [np.full(w.shape, scale, "float32") for w in arrays(model)]
        half = [w / 2 for w in weights]
        r = kb.probes.layer_scales(model, weights, half, 1.0)
        np.testing.assert_allclose(r.weight_norm, scale * np.sqrt(3), rtol=1e-6)
        np.testing.assert_allclose(r.update_ratio, 0.5, rtol=1e-6)


def test_arguments_are_checked():
    model = linear()
    with pytest.raises(ValueError, match="next_weights must hold one array per"):
        kb.probes.layer_scales(model, arrays(model), arrays(model)[:1], 0.1)
    with pytest.raises(ValueError, match="same number of samples"):
        kb.probes.layer_scales(
            model,
            arrays(model),
            arrays(model),
            0.1,
            x=np.ones((3, 2)),
            y=np.ones((2, 1)),
        )
