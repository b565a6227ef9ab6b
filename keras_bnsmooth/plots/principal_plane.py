"""The plane that shows most of a path in many dimensions."""

from collections.abc import Callable

import numpy as np


def principal_plane(
    read: Callable[[int, slice], np.ndarray], count: int, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes the first two principal components of a path, whose end is the origin.

    With D the matrix of rows W(t) - end and C that which subtracts their mean, the
    eigenvectors u of the Gram matrix C D D^T C, to eigenvalues s^2, give components
    D^T u / s and coordinates D D^T u / s. D D^T is summed up over parts of all W(t), so
    memory holds about ten vectors.

    Args:
        read: Returns a part of W(t).
        count: Number of points before the end.
        end: The last point, float64 [P].

    Returns:
        The components, orthogonal vectors of length 1 [2, P]; the coordinates of all
        points and of the end [count + 1, 2]; the shares of the variance [2].

    Raises:
        ValueError: All points are on one line, or have entries that are not finite.
    """
    gram = np.zeros((count + 1, count + 1))
    width = max(1, 2 * len(end) // count)
    for start in range(0, len(end), width):
        part = slice(start, start + width)
        block = np.array([read(t, part) for t in range(count)]) - end[part]
        gram[:-1, :-1] += block @ block.T
    if not np.all(np.isfinite(gram)):
        raise ValueError(
            "the path has weights that are NaN or infinite, since training diverged; "
            "pass a run and a model from before that."
        )
    centered = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    values, vectors = (a[..., ::-1] for a in np.linalg.eigh(centered))
    if not values[1] > 1e-12 * values[0]:
        raise ValueError(
            f"the path of {count} snapshots and the model is a line or a point; a "
            "plane takes three different points. Pass the model at the end of training."
        )
    weights = vectors[:, :2] / np.sqrt(values[:2])
    # Eigenvectors have either sign; with this one the path comes from the upper right.
    weights *= np.where(gram[0] @ weights < 0, -1, 1)
    directions = np.zeros((2, len(end)))
    for t in range(count):
        offset = read(t, slice(None)) - end
        for direction, weight in zip(directions, weights[t], strict=True):
            direction += weight * offset
    return directions, gram @ weights, values[:2] / values.sum()
