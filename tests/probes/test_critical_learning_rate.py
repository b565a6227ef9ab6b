import importlib

import keras
import numpy as np
import pytest

from keras_bnsmooth import probes
from tests.probes import example_models, reference

# The package has a function of the same name.
MODULE = importlib.import_module("keras_bnsmooth.probes.critical_learning_rate")
KINDS = (
    example_models.mlp,
    example_models.bn_cnn,
    example_models.noisy_bn_cnn,
    example_models.deep_linear,
    example_models.two_inputs,
    example_models.dropout,
    example_models.added_losses,
)


def one_weight(loss, value=1.0):
    """A model whose loss is a function of its single weight."""
    weights = keras.layers.Dense(
        1, use_bias=False, kernel_initializer=keras.initializers.Constant(value)
    )
    model = keras.Sequential([keras.Input((1,)), weights])
    model.compile("sgd", lambda y, y_pred: loss(y_pred))
    return model, (np.ones((2, 1)), np.ones((2, 1)))


def along(model, batch, direction):
    """Returns the function eta -> L(W - eta d), by setting the weights."""
    weights = [np.array(v.numpy()) for v in model.trainable_variables]

    def loss(eta):
        moved = [
            (w - eta * d).astype(w.dtype)
            for w, d in zip(weights, direction, strict=True)
        ]
        return reference.value_and_grad(model, moved, *batch)[0]

    return loss


def check_against_grid(model, batch, direction, found):
    loss = along(model, batch, direction)
    start = loss(0.0)
    grid = np.geomspace(found / 8, found * 1.3, 60)
    rises = [eta for eta in grid if not loss(eta) < start]
    assert found == pytest.approx(rises[0], rel=0.05)


def test_on_a_quadratic_loss_it_is_two_over_the_curvature():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 1))
    weights = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((6,)), weights])
    model.compile("sgd", "mse")
    hessian = 2 * x.T @ x / len(x)
    g = 2 * x.T @ (x @ np.array(weights.kernel.numpy()) - y) / len(x)
    curvature = np.sum(g * (hessian @ g)) / np.sum(g**2)
    eta = probes.critical_learning_rate(model, x, y)
    assert eta == pytest.approx(2 / curvature, rel=1e-3)
    # Along d, with slope g.d and curvature d.H d, it is 2 g.d / d.H d.
    d = g + 0.1 * rng.normal(size=g.shape)
    eta = probes.critical_learning_rate(model, x, y, direction=[d])
    expected = 2 * np.sum(g * d) / np.sum(d * (hessian @ d))
    assert eta == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("build", KINDS, ids=lambda build: build.__name__)
def test_along_the_gradient_it_is_that_of_a_fine_grid(build):
    model, batch = build()
    weights = [np.array(v.numpy()) for v in model.trainable_variables]
    _, g = reference.value_and_grad(model, weights, *batch)
    found = probes.critical_learning_rate(model, *batch)
    check_against_grid(model, batch, g, found)


def test_along_an_update_of_adam():
    model, (x, y) = example_models.bn_cnn()
    model.compile(keras.optimizers.Adam(0.01), model.loss)
    before = [np.array(v.numpy()) for v in model.trainable_variables]
    model.train_on_batch(x, y)
    after = [np.array(v.numpy()) for v in model.trainable_variables]
    for variable, value in zip(model.trainable_variables, before, strict=True):
        variable.assign(value)
    update = [(a - b) / 0.01 for a, b in zip(before, after, strict=True)]
    found = probes.critical_learning_rate(model, x, y, direction=update)
    check_against_grid(model, (x, y), update, found)


def test_sample_weights_count():
    model, (x, y, weight) = example_models.sample_weights()
    found = probes.critical_learning_rate(model, x, y, sample_weight=weight)
    weights = [np.array(v.numpy()) for v in model.trainable_variables]
    _, g = reference.value_and_grad(model, weights, x, y, weight)
    check_against_grid(model, (x, y, weight), g, found)


def test_a_loss_that_falls_for_ever_has_none():
    model, batch = one_weight(lambda p: -p)
    assert probes.critical_learning_rate(model, *batch) == np.inf


def test_a_loss_that_never_falls_has_zero():
    model, batch = one_weight(lambda p: p**2)
    ascent = [np.array([[-1.0]])]
    assert probes.critical_learning_rate(model, *batch, direction=ascent) == 0
    flat, batch = one_weight(lambda p: 0 * p + 3)
    assert probes.critical_learning_rate(flat, *batch) == 0
    assert probes.critical_learning_rate(flat, *batch, direction=ascent) == 0


def test_a_fall_within_rounding_is_not_a_number():
    # At w = 1e-5, 1 + w^2 falls by less than the spacing of floats around 1.
    model, batch = one_weight(lambda p: 1 + p**2, value=1e-5)
    assert np.isnan(probes.critical_learning_rate(model, *batch))


def test_a_loss_that_is_not_finite_is_not_a_number():
    model, (x, y) = example_models.mlp()
    assert np.isnan(probes.critical_learning_rate(model, x * np.nan, y))


def test_overflow_counts_as_a_rise():
    model, batch = one_weight(lambda p: keras.ops.exp(-p) + keras.ops.exp(p - 60.0))
    eta = probes.critical_learning_rate(model, *batch)
    # L(1 + x) >= L(1) from x = 58 on; the gradient is -exp(-1).
    assert eta == pytest.approx(58 * np.e, rel=0.05)


@pytest.mark.parametrize(
    ("build", "most"),
    [(example_models.bn_cnn, 15), (lambda: one_weight(lambda p: -p), 45)],
)
def test_takes_few_evaluations(build, most, monkeypatch):
    model, batch = build()
    calls = []
    compiled = MODULE.compiled_loss_along

    def counting(*arguments):
        loss = compiled(*arguments)
        return lambda eta: calls.append(eta) or loss(eta)

    monkeypatch.setattr(MODULE, "compiled_loss_along", counting)
    probes.critical_learning_rate(model, *batch)
    assert 5 < len(calls) <= most


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        ([np.ones((2, 1))], "direction must hold one array per trainable variable"),
        ([], "direction must hold one array per trainable variable"),
        ([np.full((1, 1), np.nan)], "direction has entries that are NaN or infinite"),
    ],
)
def test_invalid_directions(direction, message):
    model, batch = one_weight(lambda p: p**2)
    with pytest.raises(ValueError, match=message):
        probes.critical_learning_rate(model, *batch, direction=direction)
