import numpy as np
import pytest

from apps.theory import layer
from tests.apps.theory.problems import small_groups


@pytest.fixture(scope="module")
def group():
    return small_groups(each=12)[3]


def maximizing(group, y, gradient):
    w = group.layer.weights(y)
    return layer.maximizing_inputs(y, gradient, w, group.layer.bound), w


def random(group, y, gradient):
    w = group.layer.weights(y)
    of_layer = group.layer.bound, group.layer.contraction
    return layer.random_inputs(y, w, *of_layer), w


@pytest.mark.parametrize("inputs", [maximizing, random])
def test_inputs_give_the_outputs_within_the_bound(group, inputs):
    y = group.problem.y
    X, w = inputs(group, y, group.problem.g)
    scale = np.abs(y).max()
    np.testing.assert_allclose(np.einsum("nmd,nd->nm", X, w), y, atol=1e-12 * scale)
    norms = np.linalg.norm(X, ord=2, axis=(1, 2))
    assert (norms <= group.layer.bound * (1 + 1e-12)).all()
    assert np.linalg.matrix_rank(X[0]) >= 2


def test_the_gradient_in_the_weights_is_the_chain_rule(group):
    # Eq. (14) and (54).
    problem = group.problem
    X, w = random(group, problem.y, None)
    transposed = np.swapaxes(X, 1, 2)
    gradient = layer.weight_gradient(problem.bn_loss, X, w)
    expected = np.einsum("ndm,nm->nd", transposed, problem.bn_gradient)
    np.testing.assert_allclose(
        gradient, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max()
    )
    hessian = layer.weight_hessian(problem.bn_loss, X, w)
    expected = transposed @ problem.bn_hessian @ X
    np.testing.assert_allclose(
        hessian, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max()
    )


def test_many_random_inputs_stay_below_the_maximum():
    # One instance, y = (1, 2, 4), gradient a; |X^T a| over feasible X.
    rng = np.random.default_rng(0)
    n = 20_000
    y, a = np.tile([1.0, 2.0, 4.0], (n, 1)), np.tile([1.0, -1.0, 0.5], (n, 1))
    bound = np.full(n, 0.8)
    w = layer.weights_for(y, rng.normal(size=(n, 2)), bound)
    contraction = rng.normal(size=(n, 3, 2))
    contraction /= np.linalg.norm(contraction, ord=2, axis=(1, 2))[:, None, None]
    X = layer.random_inputs(y, w, bound, contraction)
    squares = np.sum(np.einsum("nmd,nm->nd", X, a) ** 2, axis=1)
    best = layer.maximizing_inputs(y[:1], a[:1], w[:1], bound[:1])
    largest = np.sum((best[0].T @ a[0]) ** 2)
    assert largest == pytest.approx(0.8**2 * 2.25, rel=1e-12)
    assert 0.9 * largest < squares.max() <= largest * (1 + 1e-12)
