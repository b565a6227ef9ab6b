"""Theorem C.1: the minimax bound on the smoothness with respect to the weights.

v is the gradient of the normalized loss with respect to y, H_hat its Hessian; g, H
are those of L at z = BN(y); lambda bounds the layer's inputs X; and
``beta(X) = v^T X X^T H_hat X X^T v`` is the quadratic form of the Hessian with
respect to the weights in the direction of the gradient (eq. (56)). As in the proof,
the maximum over X is taken with v, H_hat, g and H fixed.
"""

import numpy as np

from apps.theory import derivatives
from apps.theory.layer import Layer
from apps.theory.linear_algebra import dot, largest_entry, quadratic_form, squared_norm
from apps.theory.problem import Eigen, Problem
from apps.theory.statement import Statement
from apps.theory.theorem_4_2 import norms_preserved, second_conditions

BISECTIONS = 120
TINY = 1e-250  # keeps the shift in `maximum_over_images` above the smallest double


def printed(layer: Layer) -> Statement:
    r"""Theorem C.1 as printed, with the true maxima on both sides.

    .. math:: \max_{\|X\| \le \lambda} \hat\beta(X) < \frac{\gamma^2}{\sigma^2} \Big(
        \max_{\|X\| \le \lambda} \beta(X) - \lambda^4 \kappa \Big), \qquad
        \kappa = \frac{1}{m \gamma} \langle g, \hat y \rangle \|v\|^2

    "Under the same conditions" as Theorem 4.2's second part.
    """
    return _true_maxima(layer, "as printed", norms_preserved(layer.problem))


def printed_conditioned(layer: Layer) -> Statement:
    """Theorem C.1 as printed, under the corrected conditions of Theorem 4.2.

    The formula is that of `printed`; |v| <= |g| is assumed in addition.
    """
    conditions = second_conditions(layer.problem)
    return _true_maxima(layer, "as printed, with |v| <= |g|", conditions)


def whitened(layer: Layer) -> Statement:
    r"""Theorem C.1 as its proof gives it: at inputs with X X^T = lambda^2 I.

    .. math:: \hat\beta(\lambda I) \le \frac{\gamma^2}{\sigma^2} \Big(
        \beta(\lambda I) - \lambda^4 \kappa \Big) \quad\text{if}\quad \|v\| \le \|g\|

    and the norms are preserved. Left and beta are computed in the layer y = lambda w,
    by automatic differentiation with respect to w.
    """
    problem, bound = layer.problem, layer.bound
    left = _weight_curvature(problem.bn_loss, problem.y, bound)
    normal = _weight_curvature(problem.loss, problem.z, bound)
    right = problem.ratio * (normal - bound**4 * kappa(problem))
    form, conditions = "corrected, at X X^T = lambda^2 I", second_conditions(problem)
    return _statement(layer, form, "<=", left, right, conditions)


def upper_bound(layer: Layer) -> Statement:
    r"""A bound that the maximum does satisfy: the largest eigenvalue.

    .. math:: \max_{\|X\| \le \lambda} \hat\beta(X) \le
        \lambda^4 \|v\|^2 \max(\lambda_{\max}(\hat H), 0)
    """
    problem = layer.problem
    largest = np.maximum(problem.bn_eigen.values[:, -1], 0.0)
    right = layer.bound**4 * problem.v_squared * largest
    return _statement(layer, "corrected upper bound", "<=", _bn_maximum(layer), right)


def equation_57(layer: Layer) -> Statement:
    r"""Eq. (57) as printed, at X X^T = lambda^2 I: v without gamma / sigma and mean.

    .. math:: \hat\beta = \lambda^4 \hat g^T P' \hat H P' \hat g, \quad
        P' = I - \frac{1}{m} \hat y \hat y^T

    Eq. (47) has ``v = (gamma / sigma) P' (g - mean(g))``.
    """
    problem, g, y_hat = layer.problem, layer.problem.g, layer.problem.y_hat
    projected = g - y_hat * dot(y_hat, g)[:, None] / problem.m
    left = _weight_curvature(problem.bn_loss, problem.y, layer.bound)
    right = layer.bound**4 * quadratic_form(problem.bn_hessian, projected)
    return _statement(layer, "equation (57) as printed", "==", left, right)


def equation_58(layer: Layer) -> Statement:
    r"""Eq. (58), the proof's last step: the maximum lies at X X^T = lambda^2 I.

    .. math:: \max_{\|X\| \le \lambda} \hat\beta(X) \le \lambda^4 v^T \hat H v
    """
    right = layer.bound**4 * layer.problem.bn_along_v
    form = "equation (58), maximum at X X^T = lambda^2 I"
    return _statement(layer, form, "<=", _bn_maximum(layer), right)


FORMS = (
    printed,
    printed_conditioned,
    whitened,
    upper_bound,
    equation_57,
    equation_58,
)


def kappa(problem: Problem) -> np.ndarray:
    """The separation of Theorem 4.2: <g, y_hat> |v|^2 / (m gamma), ``[n]``."""
    return problem.inner * problem.v_squared / (problem.m * problem.gamma)


def maximum_over_images(H: Eigen, v: np.ndarray, b: np.ndarray) -> np.ndarray:
    r"""Maximum of v^T A H A v over 0 <= A <= b I, for each instance ``[n]``.

    With A = X X^T and b = lambda^2 this is the maximum over X. The images u = A v
    fill the ball with the diameter [0, b v]: ``|u|^2 <= b <u, v>``. Maximizing
    ``u^T H u`` over it, with the centre ``c = b v / 2`` and the radius ``|c|``, is a
    trust-region problem: its solution is ``c + s``, ``(nu I - H) s = H c``,
    ``|s| = |c|``, with nu at least the largest eigenvalue of H and 0. nu is found by
    bisection in the eigenvectors of H. Some A attains the returned value.
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
    # In the hard case the rest of the way to the boundary is along the top eigenvector.
    missing = np.maximum(radius**2 - squared_norm(s), 0.0)
    s[:, -1] = np.copysign(np.sqrt(s[:, -1] ** 2 + missing), s[:, -1])
    value = np.sum(eigenvalues * (coordinates + s) ** 2, axis=-1)
    # The maximum for a negative semi-definite H is at u = 0.
    return np.where(largest[:, 0] <= 0, 0.0, value)


def _bn_maximum(layer) -> np.ndarray:
    """The maximum of beta_hat over X."""
    problem = layer.problem
    return maximum_over_images(problem.bn_eigen, problem.bn_gradient, layer.bound**2)


def _true_maxima(layer, form, conditions) -> Statement:
    problem, bound = layer.problem, layer.bound
    normal = maximum_over_images(problem.eigen, problem.g, bound**2)
    right = problem.ratio * (normal - bound**4 * kappa(problem))
    return _statement(layer, form, "<", _bn_maximum(layer), right, conditions)


def _weight_curvature(loss, outputs, bound) -> np.ndarray:
    """g_w^T H_w g_w of the loss as a function of w in the layer y = lambda w."""

    def of_weights(w):
        return loss(bound[:, None] * w)

    w = outputs / bound[:, None]
    gradient = derivatives.gradient(of_weights, w)
    product = derivatives.hessian_vector_product(of_weights, w, gradient)
    return dot(gradient, product)


def _statement(layer, form, relation, left, right, assumptions=None) -> Statement:
    problem = layer.problem
    terms = layer.bound**4 * problem.v_squared * largest_entry(problem.bn_hessian)
    scale = np.maximum(terms, np.abs(right))
    return Statement(
        "Theorem C.1", form, relation, left, right, scale, assumptions or {}
    )
