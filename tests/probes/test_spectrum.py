import keras
import numpy as np
import pytest

from keras_bnsmooth import probes
from keras_bnsmooth.probes.layer_list import weight_layers
from tests.probes import example_models, small_models

DOUBLE = keras.backend.backend() == "tensorflow"
RTOL = 1e-6 if DOUBLE else 0.01  # where differences are of single precision
BUILDS = (
    small_models.mlp,
    small_models.bn_cnn,
    small_models.noisy_bn_cnn,
    small_models.two_inputs,
)

builds = pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
float64 = pytest.mark.usefixtures("float64")


def hessian(model, batch):
    return small_models.dense_hessian(model, batch)[1]


@builds
@float64
def test_extreme_eigenvalues_of_the_dense_hessian(build):
    model, batch = build()
    values = np.linalg.eigvalsh(hessian(model, batch))
    scale = np.abs(values).max()
    r = probes.spectrum(model, *batch, steps=2 * len(values), draws=2, eigenvalues=3)
    for found, bounds, expected in (
        (r.eigenvalues, r.error_bounds, values[::-1]),
        (r.lowest_eigenvalues, r.lowest_error_bounds, values),
    ):
        expected = distinct(expected, RTOL * scale)[:3]
        np.testing.assert_allclose(found, expected, atol=RTOL * scale)
        assert (bounds <= RTOL * scale).all()
    if DOUBLE:
        np.testing.assert_allclose(r.eigenvalues[0], values[-1], rtol=1e-6)
    assert r.size == len(values)


def distinct(values, tolerance):
    """Without what repeats, as zero does where the loss does not change."""
    return [values[0], *values[1:][np.abs(np.diff(values)) > tolerance]]


@builds
@float64
def test_as_many_draws_as_weights_give_exact_moments(build):
    model, batch = build()
    values = np.linalg.eigvalsh(hessian(model, batch))
    # Three steps make a quadrature that is exact up to the fifth power.
    r = probes.spectrum(model, *batch, steps=3, draws=len(values))
    scale = np.abs(values).max()
    assert r.ritz_weights.sum() == pytest.approx(1)
    assert np.trapezoid(r.density, r.grid) == pytest.approx(1, rel=1e-4)
    for power in range(1, 5):
        found = r.ritz_weights @ r.ritz_values**power
        size = np.mean(np.abs(values) ** power)
        assert found == pytest.approx(np.mean(values**power), abs=RTOL * size)
        found = np.trapezoid(r.density * r.grid**power, r.grid)
        assert found == pytest.approx(np.mean(values**power), abs=0.02 * size)
    assert r.trace == pytest.approx(values.sum(), abs=RTOL * scale * len(values))
    assert r.trace_error == 0


@pytest.mark.parametrize("draws", [4, 20])
@float64
def test_the_trace_is_within_three_standard_errors(draws):
    keras.utils.set_random_seed(0)
    model, batch = small_models.bn_cnn()
    trace = np.trace(hessian(model, batch))
    errors, deviations = [], []
    for seed in range(20):
        r = probes.spectrum(model, *batch, steps=10, draws=draws, seed=seed)
        errors.append(r.trace_error)
        deviations.append(r.trace - trace)
    ratios = np.abs(deviations) / errors
    # Of the few draws by default, the error has heavy tails.
    assert np.sum(ratios > 3) <= (1 if draws == 4 else 0)
    # The standard error is neither too large.
    assert 0.5 < np.sqrt(np.mean(np.square(ratios))) < 1.7


@float64
def test_a_block_of_one_layer_and_of_two():
    model, batch = small_models.bn_cnn()
    whole = hessian(model, batch)
    sizes = [int(np.prod(v.shape)) for v in model.trainable_variables]
    rows = np.split(np.arange(len(whole)), np.cumsum(sizes)[:-1])
    first, second, third = weight_layers(model)
    for layers in ([first], [third], [third, second]):
        names = [layer.name for layer in layers]
        chosen = np.concatenate([rows[i] for la in layers for i in la.positions])
        block = whole[np.ix_(chosen, chosen)]
        values = np.linalg.eigvalsh(block)
        r = probes.spectrum(model, *batch, steps=2 * len(block), draws=1, layers=names)
        assert r.size == len(block)
        scale = np.abs(values).max()
        assert r.eigenvalues[0] == pytest.approx(values[-1], abs=RTOL * scale)
        assert r.lowest_eigenvalues[0] == pytest.approx(values[0], abs=RTOL * scale)
        r = probes.spectrum(model, *batch, steps=1, draws=len(block), layers=names)
        assert r.trace == pytest.approx(values.sum(), rel=10 * RTOL)


def test_agrees_with_sharpness_in_single_precision():
    model, (x, y) = example_models.bn_cnn()
    r = probes.spectrum(model, x, y, steps=60, draws=2)
    s = probes.sharpness(model, x, y, iterations=100, tolerance=1e-5)
    assert r.eigenvalues[0] == pytest.approx(s.sharpness, rel=1e-3)
    assert r.lowest_eigenvalues[0] == pytest.approx(s.lowest_eigenvalue, rel=1e-2)
    assert len(r.eigenvalues) == 5
    assert (np.diff(r.eigenvalues) < 0).all()
    assert (np.diff(r.lowest_eigenvalues) > 0).all()


def test_a_quadratic_loss_in_closed_form():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 1))
    dense = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((6,)), dense])
    model.compile("sgd", "mse")
    values = np.linalg.eigvalsh(2 * x.T @ x / len(x))
    r = probes.spectrum(model, x, y, draws=6)
    np.testing.assert_allclose(r.eigenvalues, values[:0:-1], rtol=1e-4)
    np.testing.assert_allclose(r.lowest_eigenvalues, values[:5], rtol=1e-4)
    assert r.trace == pytest.approx(values.sum(), rel=1e-5)


def linear_model():
    def loss(y, y_pred):
        return keras.ops.mean(y * y_pred, axis=-1)

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", loss)
    return model


def test_a_linear_loss_has_no_curvature():
    r = probes.spectrum(linear_model(), np.ones((4, 3)), np.ones((4, 1)))
    assert r.eigenvalues.tolist() == r.lowest_eigenvalues.tolist() == [0]
    assert (r.trace, r.trace_error, r.note) == (0, 0, "")
    assert np.trapezoid(r.density, r.grid) == pytest.approx(1, rel=1e-4)


def test_a_product_that_is_not_finite_gives_nan():
    model, (x, y) = small_models.mlp()
    r = probes.spectrum(model, np.full_like(x, np.nan), y)
    assert np.isnan([r.trace, r.trace_error, *r.eigenvalues, *r.density]).all()
    assert "not finite" in r.note


def test_leaves_every_variable_and_seed_as_it_was():
    model, (x, y) = example_models.noisy_bn_cnn()
    model.fit(x, y, verbose=0)
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    before = [np.array(v.numpy()) for v in variables]
    first = probes.spectrum(model, x, y, steps=4, draws=1)
    again = probes.spectrum(model, x, y, steps=4, draws=1)
    np.testing.assert_array_equal(first.density, again.density)
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be a positive integer; received 0"),
        ({"draws": 1.5}, "draws must be a positive integer; received 1.5"),
        ({"eigenvalues": -1}, "eigenvalues must be a positive integer"),
        ({"layers": ["none"]}, "pass one or several of the layers with weights"),
        ({"layers": []}, "pass one or several of the layers with weights"),
    ],
)
def test_invalid_arguments(arguments, message):
    model, (x, y) = small_models.mlp()
    with pytest.raises(ValueError, match=message):
        probes.spectrum(model, x, y, **arguments)
