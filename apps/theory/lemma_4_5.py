"""Lemma 4.5: the distance from the initialization to the nearest optimum.

If W* is an optimum of the normal network, every a W* with a > 0 is one of the
normalized network, "since BN((aW)x) = BN(Wx)". The nearest of them to W_0 is k W*,
``k = <W*, W_0> / |W*|^2``, if k > 0.
"""

import numpy as np

from apps.theory.linear_algebra import dot, squared_norm
from apps.theory.regression import Regression
from apps.theory.statement import Statement

NAME = "Lemma 4.5"


def least_squares(regression: Regression, start, inputs: str, relation) -> Statement:
    """Lemma 4.5 between the optima of a unit that are known exactly.

    Left is the distance to the optima of the normalized network as they are, not to
    the ones that the proof takes over from the normal network.
    """
    return _statement(
        form=f"optima of least squares, {inputs}",
        relation=relation,
        left=squared_distance_to_ray(start, regression.bn_direction()),
        optimum=regression.optimum(),
        start=start,
    )


def nearest_of_several(optima: np.ndarray, start: np.ndarray) -> Statement:
    """Lemma 4.5 with several optima ``[n, k, d]``, W* the nearest to W_0.

    The optima of the normalized network are the rays of all of them; the nearest may
    lie on the ray of another optimum than W*, so that the equality becomes <=.
    """
    distances = np.sum((optima - start[:, None]) ** 2, axis=-1)
    nearest = np.take_along_axis(
        optima, distances.argmin(axis=-1)[:, None, None], axis=1
    )[:, 0]
    to_rays = [
        squared_distance_to_ray(start, optimum) for optimum in np.moveaxis(optima, 1, 0)
    ]
    left = np.min(to_rays, axis=0)
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
    """Minimum over a >= 0 of |start - a direction|^2, by the angle between them."""
    lengths = np.sqrt(squared_norm(start) * squared_norm(direction))
    cosine = dot(start, direction) / lengths
    return squared_norm(start) * (1 - np.maximum(cosine, 0.0) ** 2)


def _statement(form, relation, left, optimum, start) -> Statement:
    return Statement(
        name=NAME,
        form=form,
        relation=relation,
        left=left,
        right=right_side(optimum, start),
        scale=squared_norm(start) + squared_norm(optimum),
        assumptions={"<W_0, W*> > 0": dot(start, optimum) > 0},
    )
