import numpy as np
import pytest

from apps.theory import counterexamples, layer
from apps.theory.problem import Eigen
from apps.theory.theorem_c_1 import maximum_over_images


def maximum(H, v, b):
    eigen = Eigen(*np.linalg.eigh(H[None]))
    return maximum_over_images(eigen, v[None], np.array([b]))[0]


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_no_inputs_do_better_and_some_come_close(seed, columns):
    rng = np.random.default_rng(seed)
    H = rng.normal(size=(3, 3))
    H, v, bound = H + H.T, rng.normal(size=3), 1.7
    X = rng.normal(size=(100_000, 3, columns))
    X *= bound / np.linalg.norm(X, ord=2, axis=(1, 2))[:, None, None]
    images = X @ (np.swapaxes(X, 1, 2) @ v)[:, :, None]
    values = np.einsum("nb,bc,nc->n", images[..., 0], H, images[..., 0])
    found = maximum(H, v, bound**2)
    assert values.max() <= found * (1 + 1e-12)
    # One column is enough to reach the maximum, and densely sampled here.
    assert columns > 1 or values.max() >= found - 0.02 * abs(found)


@pytest.mark.parametrize("seed", range(6))
def test_the_dual_bound_is_met(seed):
    # c^T H c + nu r^2 + |(nu I - H)^(-1/2) H c|^2 bounds the maximum for every nu above
    # the largest eigenvalue.
    rng = np.random.default_rng(seed)
    H = rng.normal(size=(8, 8))
    H, v = H + H.T, rng.normal(size=8)
    centre = v / 2
    radius = np.linalg.norm(centre)
    largest = np.linalg.eigvalsh(H)[-1]
    bounds = [
        centre @ H @ centre
        + nu * radius**2
        + H @ centre @ np.linalg.solve(nu * np.eye(8) - H, H @ centre)
        for nu in largest + np.geomspace(1e-6, 1e3, 20_000)
    ]
    assert maximum(H, v, 1.0) == pytest.approx(min(bounds), rel=1e-5)
    assert maximum(H, v, 1.0) <= min(bounds) + 1e-9


def test_of_an_eigenvector_the_whole_image_is_best():
    H, v = np.diag([1.0, 2.0, 5.0]), np.array([0.0, 0.0, 3.0])
    assert maximum(H, v, 2.0) == pytest.approx(4 * 5 * 9, rel=1e-12)


def test_a_negative_hessian_is_best_avoided():
    assert maximum(-np.eye(3), np.ones(3), 1.0) == 0


def test_a_vanishing_gradient_gives_zero():
    assert maximum(np.diag([1.0, -2.0, 3.0]), np.zeros(3), 1.0) == 0


def test_the_tilt_of_theorem_c_1_in_closed_form():
    *_, example = counterexamples.counterexamples()
    assert (example.name, example.form) == ("Theorem C.1", "as printed")
    gamma, e, v_squared, sigma_squared = np.sqrt(2 / 3) / 2, np.sqrt(6), 6 / 4, 2 / 3
    expected = 3 * np.sqrt(3) / 8 * gamma * e * v_squared / (sigma_squared * np.sqrt(3))
    assert example.left == pytest.approx(expected, rel=1e-12)
    assert example.right == pytest.approx(0, abs=1e-15)


def test_a_real_layer_tilts_the_gradient_of_a_linear_loss():
    """Theorem C.1's right side is 0 here; automatic differentiation in w says more."""
    slope, gamma = counterexamples.E, 0.5 * counterexamples.SIGMA
    problem = counterexamples.linear_layer(slope, gamma).problem
    y, v, y_hat = problem.y[0], problem.bn_gradient[0], problem.y_hat[0]
    length = np.linalg.norm(v)
    along_v, against = v / length, -y_hat / np.sqrt(3)
    u = length / 2 * (1.5 * along_v + np.sqrt(3) / 2 * against)
    # w = (1000, 0): the first column gives y = X w, the second tilts v into u.
    X = np.stack([y / 1000, u / np.sqrt(u @ v)], axis=-1)
    X[:, 1] *= 0.999
    assert np.linalg.norm(X, ord=2) <= 1
    w = np.array([[1000.0, 0.0]])
    gradient = layer.weight_gradient(problem.bn_loss, X[None], w)[0]
    hessian = layer.weight_hessian(problem.bn_loss, X[None], w)[0]
    assert gradient @ hessian @ gradient == pytest.approx(0.84375, rel=0.01)
