"""The few products that the formulas of the paper are made of, batched."""

import numpy as np


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """<a, b> of each row: ``[n, m], [n, m] -> [n]``."""
    return np.einsum("nm,nm->n", a, b)


def squared_norm(a: np.ndarray) -> np.ndarray:
    """|a|^2 of each row: ``[n, m] -> [n]``."""
    return dot(a, a)


def quadratic_form(A: np.ndarray, v: np.ndarray) -> np.ndarray:
    """v^T A v of each instance: ``[n, m, m], [n, m] -> [n]``."""
    return np.einsum("nb,nbc,nc->n", v, A, v)


def operator_norm(A: np.ndarray) -> np.ndarray:
    """The spectral norm of each matrix: ``[n, m, d] -> [n]``."""
    return np.linalg.norm(A, ord=2, axis=(-2, -1))
