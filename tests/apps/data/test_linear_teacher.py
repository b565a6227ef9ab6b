import numpy as np

from apps.data import linear_teacher


def test_targets_are_a_linear_map_of_standard_normal_inputs():
    x, y = linear_teacher(samples=4000, dim=6, seed=3, dtype="float64")
    matrix, residual, *_ = np.linalg.lstsq(x, y, rcond=None)
    np.testing.assert_allclose(residual, 0, atol=1e-18)
    assert abs(matrix.std() - 1) < 0.35
    np.testing.assert_allclose(x.T @ x / 4000, np.eye(6), atol=0.1)


def test_the_seed_decides():
    a, b, c = (linear_teacher(seed=seed) for seed in (0, 0, 1))
    assert a[0].dtype == a[1].dtype == np.float32
    np.testing.assert_array_equal(a, b)
    assert (a[0] != c[0]).any()
