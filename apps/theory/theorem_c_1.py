"""Theorem C.1: the minimax bound on the smoothness with respect to the weights.

v is the gradient of the normalized loss with respect to y, H_hat its Hessian; g, H
are those of L at z = BN(y); lambda bounds the layer's inputs X; and
``beta(X) = v^T X X^T H_hat X X^T v`` is the quadratic form of the Hessian with
respect to the weights in the direction of the gradient (eq. (56)). As in the proof, X
is maximized over with v, H_hat, g and H fixed.
"""

import numpy as np

from apps.theory import derivatives as autodiff
from apps.theory.ball import maximum_over_images
from apps.theory.linear_algebra import dot, quadratic_form, squared_norm
from apps.theory.problem import Problem
from apps.theory.statement import Statement
from apps.theory.theorem_4_2 import norms_preserved, second_conditions

NAME = "Theorem C.1"


def printed(problem: Problem, bound: np.ndarray) -> Statement:
    r"""Theorem C.1 as printed, with the true maxima on both sides.

    .. math:: \max_{\|X\| \le \lambda} \hat\beta(X) < \frac{\gamma^2}{\sigma^2} \Big(
        \max_{\|X\| \le \lambda} \beta(X) - \lambda^4 \kappa \Big), \qquad
        \kappa = \frac{1}{m \gamma} \langle g, \hat y \rangle \|v\|^2

    "Under the same conditions" as Theorem 4.2's second part.
    """
    return _true_maxima(problem, bound, "as printed", norms_preserved(problem))


def printed_conditioned(problem: Problem, bound: np.ndarray) -> Statement:
    """Theorem C.1 as printed, under the corrected conditions of Theorem 4.2.

    The formula is that of `printed`; |v| <= |g| is assumed besides.
    """
    conditions = second_conditions(problem)
    return _true_maxima(problem, bound, "as printed, with |v| <= |g|", conditions)


def whitened(problem: Problem, bound: np.ndarray) -> Statement:
    r"""Theorem C.1 as its proof gives it: at inputs with X X^T = lambda^2 I.

    .. math:: \hat\beta(\lambda I) \le \frac{\gamma^2}{\sigma^2} \Big(
        \beta(\lambda I) - \lambda^4 \kappa \Big) \quad\text{if}\quad \|v\| \le \|g\|

    and the norms are preserved. Left and beta are found in the layer y = lambda w, by
    automatic differentiation with respect to w.
    """
    left = _weight_curvature(problem.bn_loss, problem.y, bound)
    normal = _weight_curvature(problem.loss, problem.z, bound)
    right = problem.ratio * (normal - bound**4 * kappa(problem))
    form, conditions = "corrected, at X X^T = lambda^2 I", second_conditions(problem)
    return _statement(problem, bound, form, "<=", left, right, conditions)


def equation_58(problem: Problem, bound: np.ndarray) -> Statement:
    r"""Eq. (58), the proof's last step: the maximum lies at X X^T = lambda^2 I.

    .. math:: \max_{\|X\| \le \lambda} \hat\beta(X) \le \lambda^4 v^T \hat H v
    """
    left = maximum_over_images(problem.bn_eigen, problem.bn_gradient, bound**2)
    right = bound**4 * quadratic_form(problem.bn_hessian, problem.bn_gradient)
    form = "equation (58), maximum at X X^T = lambda^2 I"
    return _statement(problem, bound, form, "<=", left, right)


def equation_57(problem: Problem, bound: np.ndarray) -> Statement:
    r"""Eq. (57) as printed, at X X^T = lambda^2 I: v without gamma / sigma and mean.

    .. math:: \hat\beta = \lambda^4 \hat g^T P' \hat H P' \hat g, \quad
        P' = I - \frac{1}{m} \hat y \hat y^T

    Eq. (47) has ``v = (gamma / sigma) P' (g - mean(g))``.
    """
    g, y_hat = problem.g, problem.y_hat
    projected = g - y_hat * dot(y_hat, g)[:, None] / problem.m
    left = _weight_curvature(problem.bn_loss, problem.y, bound)
    right = bound**4 * quadratic_form(problem.bn_hessian, projected)
    return _statement(problem, bound, "equation (57) as printed", "==", left, right)


def upper_bound(problem: Problem, bound: np.ndarray) -> Statement:
    r"""What does bound the maximum: the largest eigenvalue.

    .. math:: \max_{\|X\| \le \lambda} \hat\beta(X) \le
        \lambda^4 \|v\|^2 \max(\lambda_{\max}(\hat H), 0)
    """
    left = maximum_over_images(problem.bn_eigen, problem.bn_gradient, bound**2)
    largest = np.maximum(problem.bn_eigen.values[:, -1], 0.0)
    right = bound**4 * squared_norm(problem.bn_gradient) * largest
    return _statement(problem, bound, "corrected upper bound", "<=", left, right)


def kappa(problem: Problem) -> np.ndarray:
    """The separation of Theorem 4.2: <g, y_hat> |v|^2 / (m gamma)."""
    inner = dot(problem.g, problem.y_hat)
    return inner * squared_norm(problem.bn_gradient) / (problem.m * problem.gamma)


def _true_maxima(problem, bound, form, conditions) -> Statement:
    left = maximum_over_images(problem.bn_eigen, problem.bn_gradient, bound**2)
    normal = maximum_over_images(problem.eigen, problem.g, bound**2)
    right = problem.ratio * (normal - bound**4 * kappa(problem))
    return _statement(problem, bound, form, "<", left, right, conditions)


def _weight_curvature(loss, outputs, bound) -> np.ndarray:
    """g_w^T H_w g_w of the loss as a function of w in the layer y = lambda w."""

    def of_weights(w):
        return loss(bound[:, None] * w)

    w = outputs / bound[:, None]
    gradient = autodiff.gradient(of_weights, w)
    product = autodiff.hessian_vector_product(of_weights, w, gradient)
    return dot(gradient, product)


def _statement(
    problem, bound, form, relation, left, right, assumptions=None
) -> Statement:
    v_squared = squared_norm(problem.bn_gradient)
    largest = np.abs(problem.bn_hessian).max(axis=(-2, -1))
    return Statement(
        name=NAME,
        form=form,
        relation=relation,
        left=left,
        right=right,
        scale=np.maximum(bound**4 * v_squared * largest, np.abs(right)),
        assumptions=assumptions or {},
    )
