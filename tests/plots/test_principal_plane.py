import tracemalloc

import numpy as np
import pytest

from keras_bnsmooth.plots.principal_plane import principal_plane


def plane_of(path):
    return principal_plane(lambda t, part: path[t, part], len(path) - 1, path[-1])


@pytest.mark.parametrize("size", [2, 3, 7, 1000])
@pytest.mark.parametrize("points", [3, 4, 30])
def test_it_is_that_of_the_singular_value_decomposition(points, size):
    path = np.random.default_rng(0).normal(size=(points, size)).cumsum(axis=0)
    directions, coordinates, explained = plane_of(path)
    _, values, components = np.linalg.svd(path - path.mean(0), full_matrices=False)
    signs = np.sign(components[:2] @ (path[0] - path[-1]))
    expected = signs[:, None] * components[:2]
    np.testing.assert_allclose(directions, expected, atol=1e-9)
    np.testing.assert_allclose(coordinates, (path - path[-1]) @ expected.T, atol=1e-9)
    shares = values[:2] ** 2 / np.sum(values**2)
    np.testing.assert_allclose(explained, shares)


def test_gradient_descent_on_a_quadratic_has_a_closed_form():
    # In eigenvectors Q of the Hessian: W(t) = Q (1 - lr * lambda)^t Q^T W(0). Of two
    # eigenvalues, the plane shows the whole path, turned.
    rng = np.random.default_rng(1)
    q, _ = np.linalg.qr(rng.normal(size=(50, 2)))
    powers = (1 - 0.1 * np.array([4.0, 0.5])) ** np.arange(40)[:, None]
    path = powers * [3.0, -2.0] @ q.T
    _, coordinates, explained = plane_of(path)
    in_eigenbasis = (powers - powers[-1]) * [3.0, -2.0]
    turn, *_ = np.linalg.lstsq(in_eigenbasis, coordinates)
    np.testing.assert_allclose(turn.T @ turn, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(in_eigenbasis @ turn, coordinates, atol=1e-9)
    np.testing.assert_allclose(explained.sum(), 1)


def test_memory_is_that_of_a_few_vectors():
    path = np.random.default_rng(0).normal(size=(200, 10_000)).astype("float32")
    end = path[-1].astype(float)
    tracemalloc.start()
    principal_plane(lambda t, part: path[t, part], 199, end)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The Gram matrix and its eigenvectors, and ten vectors.
    assert peak < 5 * 200**2 * 8 + 10 * end.nbytes


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (np.ones((5, 3)), "is a line or a point"),
        (np.outer(range(6), [1.0, 2, 3]), "is a line or a point"),
        (np.eye(2), "is a line or a point"),
        (np.diag([1, np.nan, 1]), "NaN or infinite"),
        (np.diag([1, 2, np.inf]), "NaN or infinite"),
    ],
)
def test_a_path_without_a_plane(path, error):
    with pytest.raises(ValueError, match=error) as raised:
        plane_of(path)
    assert "\n" not in str(raised.value)
