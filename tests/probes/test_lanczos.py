import numpy as np
import pytest

from keras_bnsmooth.probes.lanczos import (
    extreme_eigenvalues,
    leading_eigenvectors,
    quadrature,
)

RNG = np.random.default_rng(0)


def rotated(eigenvalues):
    q, _ = np.linalg.qr(RNG.normal(size=(len(eigenvalues),) * 2))
    return (q * eigenvalues) @ q.T, q


def run(matrix, iterations=300, tolerance=1e-9, direction=None, dtype=np.float64):
    size = len(matrix)
    split = size // 3  # as a list of two arrays

    def parts(vector):
        vector = np.array(vector, dtype)
        return [vector[:split], vector[split:]]

    def product(vector):
        return parts(matrix @ np.concatenate(vector).astype(np.float64))

    start = np.random.default_rng(1).normal(size=size)
    direction = np.eye(size)[0] if direction is None else direction
    return extreme_eigenvalues(
        product, parts(start), parts(direction), iterations, tolerance
    )


SPECTRA = {
    "spread": np.linspace(-3, 10, 40),
    "negative": -np.geomspace(1, 100, 30),
    "outlier": np.append(RNG.uniform(-1, 1, 50), 30.0),
    "clustered": np.repeat([-2.0, 0.0, 1.0, 5.0], 10),
    "rank_one": np.append(np.zeros(20), 7.0),
    "tiny": 1e-20 * np.arange(1.0, 9),
    "huge": 1e20 * np.arange(1.0, 9),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_equals_a_dense_solver_within_the_bounds(name):
    eigenvalues = np.sort(SPECTRA[name])
    matrix, q = rotated(SPECTRA[name])
    direction = RNG.normal(size=len(matrix))
    direction /= np.linalg.norm(direction)
    r = run(matrix, direction=direction)
    scale = np.abs(eigenvalues).max()
    for found, expected in ((r.largest, eigenvalues[-1]), (r.smallest, eigenvalues[0])):
        assert found.value == pytest.approx(expected, abs=1e-10 * scale)
        assert abs(found.value - expected) <= found.error_bound + 1e-14 * scale
        assert found.error_bound <= 1e-8 * scale
    leading = q[:, SPECTRA[name] == eigenvalues[-1]]
    if leading.shape[1] == 1:
        expected = (leading[:, 0] @ direction) ** 2
        assert r.alignment == pytest.approx(expected, abs=1e-6)
    assert r.asymmetry < 1e-10


@pytest.mark.parametrize("value", [3.0, -3.0, 0.0])
def test_multiples_of_the_identity_take_one_product(value):
    r = run(value * np.eye(12))
    assert (r.largest.value, r.smallest.value) == pytest.approx((value, value))
    assert r.iterations == 1


def test_stops_at_the_tolerance():
    matrix, _ = rotated(SPECTRA["outlier"])
    coarse, fine = run(matrix, tolerance=0.1), run(matrix, tolerance=1e-6)
    assert coarse.iterations < fine.iterations < 51
    for r, tolerance in ((coarse, 0.1), (fine, 1e-6)):
        for ritz in (r.largest, r.smallest):
            assert ritz.error_bound <= tolerance * abs(ritz.value)
    assert run(matrix, iterations=3, tolerance=0).iterations == 3


def test_many_iterations_after_convergence():
    # Without reorthogonalization, eigenvalues that have converged appear again.
    matrix, _ = rotated(SPECTRA["outlier"])
    r = run(matrix, iterations=500, tolerance=0)
    values = SPECTRA["outlier"]
    assert r.largest.value == pytest.approx(30, rel=1e-12)
    assert r.smallest.value == pytest.approx(values.min(), rel=1e-12)


def test_single_precision_has_the_bound_that_rounding_allows():
    matrix, _ = rotated(SPECTRA["outlier"])
    r = run(matrix, tolerance=0, dtype=np.float32)
    for ritz, exact in ((r.largest, 30.0), (r.smallest, SPECTRA["outlier"].min())):
        assert abs(ritz.value - exact) <= ritz.error_bound < 1e-3


def test_an_operator_that_is_not_symmetric_shows():
    matrix, _ = rotated(SPECTRA["spread"])
    assert run(matrix).asymmetry < 1e-10
    skewed = matrix + 0.1 * np.triu(RNG.normal(size=matrix.shape))
    assert run(skewed, iterations=20).asymmetry > 1e-3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_products_that_are_not_finite(value):
    matrix, _ = rotated(SPECTRA["spread"])
    matrix[0, 0] = value
    r = run(matrix)
    assert np.isnan([r.largest.value, r.smallest.error_bound, r.alignment]).all()


def weigh(matrix, start, steps):
    """A quadrature of functions of a matrix, as a list of two arrays."""
    split = len(matrix) // 3

    def product(vector):
        image = matrix @ np.concatenate(vector)
        return [image[:split], image[split:]]

    return quadrature(product, [start[:split].copy(), start[split:].copy()], steps)


@pytest.mark.parametrize("name", SPECTRA)
def test_a_quadrature_is_exact_for_polynomials(name):
    matrix, _ = rotated(SPECTRA[name])
    matrix = matrix / np.abs(SPECTRA[name]).max()
    start = RNG.normal(size=len(matrix))
    r = weigh(matrix, start, steps=4)
    assert r.weights.sum() == pytest.approx(1)
    image, square = start, start @ start
    for power in range(1, 8):
        image = matrix @ image
        expected = start @ image / square
        assert r.weights @ r.nodes**power == pytest.approx(expected, abs=1e-12)
        if power == 1:
            assert r.mean == pytest.approx(expected)
            assert r.mean_square == pytest.approx(image @ image / square)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("steps", [20, 60, 300])
def test_many_steps_without_reorthogonalization(name, steps):
    eigenvalues = SPECTRA[name]
    scale = np.abs(eigenvalues).max()
    matrix, q = rotated(eigenvalues)
    start = RNG.normal(size=len(matrix))
    r = weigh(matrix, start, steps)
    # Every node is near an eigenvalue, copies of others included.
    nearest = np.abs(r.nodes[:, None] - eigenvalues).min(axis=1)
    assert (nearest <= r.error_bounds + 1e-14 * scale).all()
    if steps >= 60:
        # An eigenvalue and its copies share its weight.
        shares = (q.T @ start) ** 2 / (start @ start)
        for function in (np.exp, np.cos):
            expected = shares @ function(eigenvalues / scale)
            found = r.weights @ function(r.nodes / scale)
            assert found == pytest.approx(expected, abs=1e-10)


def test_a_quadrature_of_products_that_are_not_finite():
    matrix, _ = rotated(SPECTRA["spread"])
    matrix[0, 0] = np.nan
    assert weigh(matrix, np.ones(40), steps=5) is None


def leading(matrix, count):
    parts = [len(matrix) // 3]

    def product(vector):
        return np.split(matrix @ np.concatenate(vector), parts)

    start = np.random.default_rng(1).normal(size=len(matrix))
    found = leading_eigenvectors(product, np.split(start, parts), count)
    return start, [(ritz, np.concatenate(vector)) for ritz, vector in found]


@pytest.mark.parametrize("name", ["spread", "outlier", "tiny", "huge", "rank_one"])
def test_leading_eigenvectors_are_orthogonal_and_within_their_bounds(name):
    matrix, _ = rotated(SPECTRA[name])
    start, found = leading(matrix, 2)
    values = SPECTRA[name]
    scale = np.abs(values).max()
    assert len(found) == 2
    assert found[0][0].value == pytest.approx(values.max(), rel=0.01)
    for ritz, vector in found:
        distance = np.abs(values - ritz.value).min()
        assert distance <= ritz.error_bound + 1e-12 * scale
        residual = np.linalg.norm(matrix @ vector - ritz.value * vector)
        assert residual == pytest.approx(ritz.error_bound, abs=1e-10 * scale)
        assert residual <= 0.01 * abs(ritz.value) + 1e-10 * scale
        assert vector @ start > 0
    vectors = np.stack([vector for _, vector in found])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(2), atol=1e-10)


def test_there_are_no_more_eigenvectors_than_the_start_holds():
    assert len(leading(np.eye(9), 2)[1]) == 1
    assert leading(np.full((9, 9), np.nan), 2)[1] == []
