"""Products and least squares for n instances at a time."""

import numpy as np


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """<a, b> of each row: ``[n, m], [n, m] -> [n]``."""
    return np.einsum("nm,nm->n", a, b)


def squared_norm(a: np.ndarray) -> np.ndarray:
    """|a|^2 of each row: ``[n, m] -> [n]``."""
    return dot(a, a)


def outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Outer product a b^T of each instance: ``[n, m], [n, d] -> [n, m, d]``."""
    return a[:, :, None] * b[:, None, :]


def quadratic_form(A: np.ndarray, v: np.ndarray) -> np.ndarray:
    """v^T A v of each instance: ``[n, m, m], [n, m] -> [n]``."""
    return np.einsum("nb,nbc,nc->n", v, A, v)


def largest_entry(A: np.ndarray) -> np.ndarray:
    """Largest absolute value in each matrix: ``[n, m, d] -> [n]``."""
    return np.abs(A).max(axis=(-2, -1))


def centre(X: np.ndarray) -> np.ndarray:
    """Subtracts the mean over the batch from the inputs of a layer, ``[n, m, d]``."""
    return X - X.mean(axis=1, keepdims=True)


def with_bias(X: np.ndarray) -> np.ndarray:
    """Appends an input that is always 1, whose weight is a bias."""
    return np.concatenate([X, np.ones_like(X[..., :1])], axis=-1)


def least_squares(X: np.ndarray, t: np.ndarray) -> np.ndarray:
    """argmin_w |X w - t| of each instance, the shortest if there are several."""
    return np.einsum("ndm,nm->nd", np.linalg.pinv(X), t)
