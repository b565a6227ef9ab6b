"""The linear layer before the unit: y = X w with the inputs bounded, ``|X|_2 <= b``.

Theorems 4.4 and C.1 maximize over the layer's inputs X while the gradient with
respect to y stays fixed. That is possible: X can be any matrix of the bounded norm
with X w = y. These functions build such matrices, so that the gradient with respect
to the weights can then be found by automatic differentiation in a real layer.
"""

from collections.abc import Callable

import numpy as np
from keras import ops

from apps.theory import derivatives as autodiff
from apps.theory.linear_algebra import dot, squared_norm

SLACK = 0.9


def weights_for(y, direction, bound) -> np.ndarray:
    """Weights w ``[n, d]`` along a direction, so long that |y| < bound |w|.

    Without that no X of norm at most bound gives X w = y.
    """
    length = np.sqrt(squared_norm(y)) / (SLACK * bound)
    return direction * (length / np.sqrt(squared_norm(direction)))[:, None]


def maximizing_inputs(y, gradient, w, bound) -> np.ndarray:
    r"""The X with X w = y and |X|_2 <= bound that makes |X^T gradient| largest.

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
    return _outer(y, w / w_squared[:, None]) + _outer(r, _orthogonal(w))


def random_inputs(y, w, bound, contraction) -> np.ndarray:
    r"""Some X with X w = y and |X|_2 <= bound, one for each contraction ``[n, m, d]``.

    .. math:: X = \frac{y w^T}{|w|^2} + A^{1/2} C \Big(I - \frac{w w^T}{|w|^2}\Big),
        \quad A = b^2 I - \frac{y y^T}{|w|^2}, \quad |C|_2 \le 1
    """
    w_squared, y_squared = squared_norm(w), squared_norm(y)
    along_w = _outer(contraction @ w[:, :, None], w / w_squared[:, None])
    rest = contraction - along_w
    shrink = np.sqrt(1 - y_squared / (w_squared * bound**2)) - 1
    along_y = _outer(y, np.einsum("nm,nmd->nd", y, rest))
    rest = rest + (shrink / y_squared)[:, None, None] * along_y
    return _outer(y, w / w_squared[:, None]) + bound[:, None, None] * rest


def outputs(X, w):
    """Outputs y = X w, differentiable: ``[n, m, d], [n, d] -> [n, m]``."""
    return ops.einsum("nmd,nd->nm", X, w)


def weight_gradient(loss: Callable, X, w) -> np.ndarray:
    """Gradient of loss(X w) with respect to w, ``[n, d]``."""
    return autodiff.gradient(lambda weights: loss(outputs(X, weights)), w)


def weight_hessian(loss: Callable, X, w) -> np.ndarray:
    """Hessian of loss(X w) with respect to w, ``[n, d, d]``."""
    return autodiff.hessian(lambda weights: loss(outputs(X, weights)), w)


def _orthogonal(w) -> np.ndarray:
    """A unit vector orthogonal to w: its two largest entries swapped, one negated."""
    rows = np.arange(len(w))
    first, second = np.argsort(-np.abs(w), axis=-1)[:, :2].T
    q = np.zeros_like(w)
    q[rows, first] = -w[rows, second]
    q[rows, second] = w[rows, first]
    return q / np.sqrt(squared_norm(q))[:, None]


def _outer(a, b) -> np.ndarray:
    return np.reshape(a, (len(a), -1, 1)) * b[:, None, :]
