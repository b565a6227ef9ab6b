"""Lemma 4.5: the distance from the initialization to the nearest optimum.

If W* is an optimum of the normal network, every a W* with a > 0 is one of the
normalized network, "since BN((aW)x) = BN(Wx)". The nearest of them to W_0 is k W*,
``k = <W*, W_0> / |W*|^2``, if k > 0.
"""

import dataclasses

import numpy as np

from apps.theory import linear_algebra
from apps.theory.linear_algebra import centre, dot, squared_norm
from apps.theory.statement import Statement


@dataclasses.dataclass(frozen=True)
class Regression:
    r"""Inputs X ``[n, m, d]`` of a layer without bias and targets t ``[n, m]``.

    The normal network minimizes ``1/2 |X w - t|^2``, the normalized one
    ``1/2 |BN(X w) - t|^2`` at any fixed gamma > 0 and beta.
    """

    X: np.ndarray
    t: np.ndarray

    def centred(self) -> "Regression":
        """The same regression with inputs of mean zero over the batch."""
        return Regression(centre(self.X), self.t)

    def optimum(self) -> np.ndarray:
        """W*, the optimum of the normal network: least squares on X, ``[n, d]``."""
        return linear_algebra.least_squares(self.X, self.t)

    def bn_direction(self) -> np.ndarray:
        r"""Returns w ``[n, d]``; the normalized network's optima are {a w: a > 0}.

        Of all outputs with mean beta and standard deviation gamma, those most
        correlated with t are nearest to t, whatever gamma and beta. They are least
        squares on X **and a constant**, from which the constant is dropped.
        """
        return linear_algebra.least_squares(centre(self.X), self.t)


def least_squares(regression: Regression, start, inputs: str, relation) -> Statement:
    """Lemma 4.5 between the optima of a unit that are known exactly.

    Left is the distance to the true optima of the normalized network, not to those
    that the proof derives from the normal network.
    """
    left = squared_distance_to_ray(start, regression.bn_direction())
    form = f"optima of least squares, {inputs}"
    return _statement(form, relation, left, regression.optimum(), start)


def nearest_of_several(optima: np.ndarray, start: np.ndarray) -> Statement:
    """Lemma 4.5 with several optima ``[n, k, d]``, W* the nearest to W_0.

    The optima of the normalized network are the rays of all of them. The nearest may
    be on the ray of an optimum other than W*, so that the equality becomes <=.
    """
    distances = np.sum((optima - start[:, None]) ** 2, axis=-1)
    nearest = optima[np.arange(len(optima)), distances.argmin(axis=-1)]
    rays = np.moveaxis(optima, 1, 0)
    left = np.min([squared_distance_to_ray(start, ray) for ray in rays], axis=0)
    form = "nearest of several optima, their rays given"
    return _statement(form, "<=", left, nearest, start)


def right_side(optimum: np.ndarray, start: np.ndarray) -> np.ndarray:
    r"""The right side of Lemma 4.5, ``[n]``.

    .. math:: \|W_0 - W^*\|^2 - \frac{1}{\|W^*\|^2}
        \big( \|W^*\|^2 - \langle W^*, W_0 \rangle \big)^2
    """
    squared = squared_norm(optimum)
    gain = (squared - dot(optimum, start)) ** 2 / squared
    return squared_norm(start - optimum) - gain


def squared_distance_to_ray(start: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Minimum over a >= 0 of |start - a direction|^2, from the angle between them."""
    lengths = np.sqrt(squared_norm(start) * squared_norm(direction))
    cosine = dot(start, direction) / lengths
    return squared_norm(start) * (1 - np.maximum(cosine, 0.0) ** 2)


def _statement(form, relation, left, optimum, start) -> Statement:
    right = right_side(optimum, start)
    scale = squared_norm(start) + squared_norm(optimum)
    assumptions = {"<W_0, W*> > 0": dot(start, optimum) > 0}
    return Statement("Lemma 4.5", form, relation, left, right, scale, assumptions)
