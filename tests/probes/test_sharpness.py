import keras
import numpy as np
import pytest

from keras_bnsmooth import autodiff, probes
from keras_bnsmooth.probes.arguments import to_tensors
from tests.probes import example_models, small_models

DOUBLE = keras.backend.backend() == "tensorflow"


def check(model, batch, derivatives, iterations, tolerance, rtol):
    gradient, hessian = derivatives(model, batch)
    x, y, *weight = batch
    r = probes.sharpness(
        model,
        x,
        y,
        sample_weight=weight[0] if weight else None,
        iterations=iterations,
        tolerance=tolerance,
    )
    values, vectors = np.linalg.eigh(hessian)
    atol = rtol * np.abs(values).max()
    for found, bound, expected in (
        (r.sharpness, r.error_bound, values[-1]),
        (r.lowest_eigenvalue, r.lowest_error_bound, values[0]),
    ):
        assert abs(found - expected) <= bound + atol
        assert bound <= max(tolerance * abs(found), atol)
        np.testing.assert_allclose(found, expected, atol=max(bound, atol))
    u = gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(r.gradient_curvature, u @ hessian @ u, atol=atol)
    expected = (u @ vectors[:, -1]) ** 2
    np.testing.assert_allclose(r.gradient_alignment, expected, atol=max(0.01, rtol))
    np.testing.assert_allclose(r.gradient_norm, np.linalg.norm(gradient), rtol=1e-4)
    return r, values


@pytest.mark.parametrize("build", small_models.KINDS, ids=lambda build: build.__name__)
@pytest.mark.usefixtures("float64")
def test_eigenvalues_of_the_dense_hessian(build):
    rtol = 1e-7 if DOUBLE else 0.01
    r, values = check(
        *build(), small_models.dense_hessian, iterations=300, tolerance=1e-5, rtol=rtol
    )
    if DOUBLE:
        assert r.sharpness == pytest.approx(values[-1], rel=1e-6)
        assert r.lowest_eigenvalue == pytest.approx(values[0], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("build", small_models.KINDS, ids=lambda build: build.__name__)
def test_single_precision_within_one_percent(build):
    check(*build(), products, iterations=100, tolerance=0.01, rtol=1e-4)


def products(model, batch):
    """Gradient and Hessian by products; differences are too coarse in float32."""
    _, g, product = autodiff.linearize(model, *to_tensors(model, *batch))
    gradient = small_models.flat(map(keras.ops.convert_to_numpy, g))
    columns = [
        product(list(map(keras.ops.convert_to_tensor, small_models.unflat(model, e))))
        for e in np.eye(len(gradient))
    ]
    hessian = [
        small_models.flat(map(keras.ops.convert_to_numpy, column)) for column in columns
    ]
    return gradient, (np.array(hessian) + np.transpose(hessian)) / 2


def test_a_quadratic_loss_is_exact():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 1))
    weights = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((6,)), weights])
    model.compile("sgd", "mse")
    values = np.linalg.eigvalsh(2 * x.T @ x / len(x))
    r = probes.sharpness(model, x, y, tolerance=0)
    assert r.sharpness == pytest.approx(values[-1], rel=1e-5)
    assert r.lowest_eigenvalue == pytest.approx(values[0], rel=1e-4)
    g = 2 * x.T @ (x @ np.array(weights.kernel.numpy()) - y) / len(x)
    curvature = np.sum(g * (2 * x.T @ x / len(x) @ g)) / np.sum(g**2)
    assert r.gradient_curvature == pytest.approx(curvature, rel=1e-4)


def linear_model(loss):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", loss)
    return model


def test_a_linear_loss_has_no_curvature():
    model = linear_model(lambda y, y_pred: keras.ops.mean(y * y_pred, axis=-1))
    r = probes.sharpness(model, np.ones((4, 3)), np.ones((4, 1)))
    assert (r.sharpness, r.lowest_eigenvalue, r.gradient_curvature) == (0, 0, 0)
    assert r.error_bound == 0


def test_a_zero_gradient_has_curvature_but_no_direction():
    model = linear_model("mse")
    model.set_weights([np.zeros((3, 1)), np.zeros(1)])
    r = probes.sharpness(model, np.ones((4, 3)), np.zeros((4, 1)))
    assert r.gradient_norm == 0
    assert r.sharpness == pytest.approx(8)
    assert np.isnan([r.gradient_curvature, r.gradient_alignment]).all()


def test_a_loss_that_is_not_finite_gives_nan():
    model, (x, y) = small_models.mlp()
    r = probes.sharpness(model, np.full_like(x, np.nan), y)
    assert np.isnan([r.loss, r.sharpness, r.error_bound, r.gradient_curvature]).all()


@pytest.mark.parametrize("build", [example_models.noisy_bn_cnn, example_models.adam])
def test_leaves_every_variable_and_seed_as_it_was(build):
    model, (x, y) = build()
    model.fit(x, y, verbose=0)
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    before = [np.array(v.numpy()) for v in variables]
    first = probes.sharpness(model, x, y, iterations=4)
    probes.critical_learning_rate(model, x, y)
    assert probes.sharpness(model, x, y, iterations=4) == first
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize(
    "build",
    [
        example_models.nested,
        example_models.subclassed,
        example_models.own_compute_loss,
        example_models.added_losses,
        example_models.frozen,
        example_models.two_outputs,
        example_models.attention,
        example_models.eager,
    ],
)
def test_models_of_many_kinds(build):
    model, batch = build()
    r = probes.sharpness(model, *batch, iterations=30)
    assert r.error_bound <= 0.01 * r.sharpness
    assert r.asymmetry < 1e-4


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model, (x, y) = small_models.mlp()
    finally:
        keras.config.set_dtype_policy("float32")
    plain, _ = small_models.mlp()
    plain.set_weights(model.get_weights())
    expected = probes.sharpness(plain, x, y).sharpness
    assert probes.sharpness(model, x, y).sharpness == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"iterations": 0}, "iterations must be a positive integer; received 0"),
        ({"iterations": 2.5}, "iterations must be a positive integer; received 2.5"),
        ({"tolerance": -0.1}, "tolerance must be a finite number, 0 or larger"),
        ({"tolerance": np.nan}, "tolerance must be a finite number, 0 or larger"),
    ],
)
def test_invalid_arguments(arguments, message):
    model, (x, y) = small_models.mlp()
    with pytest.raises(ValueError, match=message):
        probes.sharpness(model, x, y, **arguments)


@pytest.mark.parametrize("seed", range(4))
def test_a_single_weight(seed):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    x = np.array([[1.0], [2.0]])
    # The loss is mean(x**2) (w - 1)**2.
    found = probes.sharpness(model, x, x, seed=seed)
    assert found.sharpness == pytest.approx(5.0, rel=1e-6)
    assert found.lowest_eigenvalue == pytest.approx(5.0, rel=1e-6)
