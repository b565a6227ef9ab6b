"""The largest value of a quadratic form over the images of a vector.

For a vector v and matrices A with ``0 <= A <= b I`` (A = X X^T, b = lambda^2), the
images A v fill the ball with the diameter [0, b v]: ``|u|^2 <= b <u, v>``. The
maximum of ``v^T A H A v`` over A is that of ``u^T H u`` over the ball.
"""

import numpy as np

from apps.theory.linear_algebra import squared_norm
from apps.theory.problem import Eigen

BISECTIONS = 120
TINY = 1e-250  # so that the shift below stays above the smallest double


def maximum_over_images(H: Eigen, v: np.ndarray, b: np.ndarray) -> np.ndarray:
    r"""Maximum of v^T A H A v over 0 <= A <= b I, of each instance ``[n]``.

    With the centre ``c = b v / 2`` and the radius ``|c|`` this is a trust-region
    problem: its solution is ``c + s``, ``(nu I - H) s = H c``, ``|s| = |c|``, with
    nu at least the largest eigenvalue of H and 0; found by bisection in the
    eigenvectors of H. The value returned is attained by an A.
    """
    centre = 0.5 * b[:, None] * v
    radius = np.sqrt(squared_norm(centre))
    eigenvalues, vectors = H
    largest = eigenvalues[:, -1:]
    coordinates = np.einsum("nba,nb->na", vectors, centre)
    force = eigenvalues * coordinates
    gaps = largest - eigenvalues

    def step(log_shift):
        return force / (np.exp(log_shift)[:, None] + gaps)

    high = np.log(np.sqrt(squared_norm(force)) / np.maximum(radius, TINY) + TINY)
    low = high - 80.0
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        too_long = squared_norm(step(middle)) > radius**2
        low, high = np.where(too_long, middle, low), np.where(too_long, high, middle)
    s = step(high)
    # What is missing to the boundary (the hard case) lies along the top eigenvector.
    missing = np.maximum(radius**2 - squared_norm(s), 0.0)
    s[:, -1] = np.copysign(np.sqrt(s[:, -1] ** 2 + missing), s[:, -1])
    value = np.sum(eigenvalues * (coordinates + s) ** 2, axis=-1)
    # A negative semi-definite H is largest at u = 0.
    return np.where(largest[:, 0] <= 0, 0.0, value)
