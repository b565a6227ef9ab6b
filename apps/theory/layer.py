"""The linear layer before the unit: y = X w with bounded inputs, ``|X|_2 <= bound``.

Theorems 4.4 and C.1 maximize over the layer's inputs X while the gradient with
respect to y stays fixed. That is possible: X can be any matrix of the bounded norm
with X w = y. These functions build such matrices, so that automatic differentiation
in a real layer yields the gradient with respect to the weights.
"""

import dataclasses
from collections.abc import Callable
from functools import cached_property

import numpy as np
from keras import ops

from apps.theory import derivatives
from apps.theory.linear_algebra import dot, outer, squared_norm
from apps.theory.problem import Problem

SLACK = 0.9


@dataclasses.dataclass(frozen=True)
class Layer:
    """The layers before the units of n problems.

    Attributes:
        problem: The units, with epsilon = 0.
        bound: lambda ``[n]``, the bound on the norm of the inputs X.
        direction: Direction of the weights w ``[n, d]``, d >= 2. Its choice does not
            change the maxima.
        contraction: Matrices ``[n, m, d]`` of norm at most 1 that select one X each,
            see `random_inputs`.
    """

    problem: Problem
    bound: np.ndarray
    direction: np.ndarray | None = None
    contraction: np.ndarray | None = None

    def weights(self, y) -> np.ndarray:
        """Returns weights w ``[n, d]`` with which some X gives X w = y."""
        return weights_for(y, self.direction, self.bound)

    @cached_property
    def normal_maximum(self) -> np.ndarray:
        """g_j: largest ``|dL/dw|^2`` of the normal network with outputs z, ``[n]``."""
        problem = self.problem
        return self._maximum(problem.loss, problem.z, problem.g)

    @cached_property
    def bn_maximum(self) -> np.ndarray:
        """g_hat_j: largest ``|dL_hat/dw|^2`` of the normalized network, ``[n]``."""
        problem = self.problem
        return self._maximum(problem.bn_loss, problem.y, problem.bn_gradient)

    def _maximum(self, loss, y, gradient):
        w = self.weights(y)
        X = maximizing_inputs(y, gradient, w, self.bound)
        return squared_norm(weight_gradient(loss, X, w))


def weights_for(y, direction, bound) -> np.ndarray:
    """Scales a direction to weights w ``[n, d]`` so long that |y| < bound |w|.

    With shorter weights, no X of norm at most bound gives X w = y.
    """
    length = np.sqrt(squared_norm(y)) / (SLACK * bound)
    return direction * (length / np.sqrt(squared_norm(direction)))[:, None]


def maximizing_inputs(y, gradient, w, bound) -> np.ndarray:
    r"""Returns the X with X w = y and |X|_2 <= bound of the largest |X^T gradient|.

    .. math:: X = \frac{y w^T}{|w|^2} + r q^T, \quad
        r = \frac{A g}{\sqrt{g^T A g}}, \quad
        A = b^2 I - \frac{y y^T}{|w|^2}, \quad q \perp w, \; |q| = 1

    ``X X^T <= b^2 I`` and ``g^T X X^T g = b^2 |g|^2``: nothing larger is possible.
    Needs d >= 2.
    """
    w_squared = squared_norm(w)
    image = bound[:, None] ** 2 * gradient
    image = image - y * (dot(y, gradient) / w_squared)[:, None]
    length = np.sqrt(np.maximum(dot(gradient, image), np.finfo(float).tiny))
    r = image / length[:, None]
    return outer(y, w / w_squared[:, None]) + outer(r, _orthogonal(w))


def random_inputs(y, w, bound, contraction) -> np.ndarray:
    r"""Returns one X with X w = y and |X|_2 <= bound per contraction ``[n, m, d]``.

    .. math:: X = \frac{y w^T}{|w|^2} + A^{1/2} C \Big(I - \frac{w w^T}{|w|^2}\Big),
        \quad A = b^2 I - \frac{y y^T}{|w|^2}, \quad |C|_2 \le 1
    """
    w_squared, y_squared = squared_norm(w), squared_norm(y)
    unit_w = w / w_squared[:, None]
    rest = contraction - outer((contraction @ w[:, :, None])[:, :, 0], unit_w)
    shrink = np.sqrt(1 - y_squared / (w_squared * bound**2)) - 1
    along_y = outer(y, np.einsum("nm,nmd->nd", y, rest))
    rest = rest + (shrink / y_squared)[:, None, None] * along_y
    return outer(y, unit_w) + bound[:, None, None] * rest


def weight_gradient(loss: Callable, X, w) -> np.ndarray:
    """Gradient of loss(X w) with respect to w, ``[n, d]``."""
    return derivatives.gradient(_of_weights(loss, X), w)


def weight_hessian(loss: Callable, X, w) -> np.ndarray:
    """Hessian of loss(X w) with respect to w, ``[n, d, d]``."""
    return derivatives.hessian(_of_weights(loss, X), w)


def _of_weights(loss: Callable, X) -> Callable:
    return lambda w: loss(ops.einsum("nmd,nd->nm", X, w))


def _orthogonal(w) -> np.ndarray:
    """A unit vector orthogonal to w: its two largest entries swapped, one negated."""
    rows = np.arange(len(w))
    first, second = np.argsort(-np.abs(w), axis=-1)[:, :2].T
    q = np.zeros_like(w)
    q[rows, first] = -w[rows, second]
    q[rows, second] = w[rows, first]
    return q / np.sqrt(squared_norm(q))[:, None]
