"""Theorem 4.4: the minimax bound on the gradient with respect to the weights.

The maximum over the layer's inputs X is taken at fixed outputs of the unit, X w = y
(see `layer`): with y the gradients with respect to y, sigma and y_hat are fixed, as
the proof needs them to be. g is the gradient of L at z = BN(y), lambda = ``bound`` the
bound on |X|, ``g_j`` the maximum of ``|dL/dw|^2`` in the normal network whose outputs
are z. Every w that lets X w = y gives the same maxima; ``direction`` ``[n, d]`` is
that of w, d >= 2. The paper has epsilon = 0, and so has this module.
"""

import numpy as np

from apps.theory import layer
from apps.theory.linear_algebra import squared_norm
from apps.theory.problem import Problem
from apps.theory.statement import Statement
from apps.theory.theorem_4_1 import terms

NAME = "Theorem 4.4"


def equality(problem: Problem, direction: np.ndarray, bound: np.ndarray) -> Statement:
    r"""Theorem 4.4 as its proof gives it, corrected: an equality.

    .. math:: \hat g_j = \frac{\gamma^2}{\sigma_j^2} \Big( g_j
        - \lambda^2 m \mu_g^2
        - \frac{\lambda^2}{m} \langle g, \hat y_j \rangle^2 \Big)
    """
    return _maximum(problem, direction, bound, "corrected, an equality", "==")


def every_input(problem, direction, bound, contraction) -> Statement:
    """Eq. (16): the corrected bound at any inputs X of norm at most lambda.

    Left is ``|dL_hat/dw|^2`` at a random X, not at the maximum.
    """
    w = layer.weights_for(problem.y, direction, bound)
    X = layer.random_inputs(problem.y, w, bound, contraction)
    left = squared_norm(layer.weight_gradient(problem.bn_loss, X, w))
    return _statement(problem, direction, bound, "corrected, any inputs X", "<=", left)


def printed(problem: Problem, direction: np.ndarray, bound: np.ndarray) -> Statement:
    r"""Theorem 4.4 as printed.

    .. math:: \hat g_j \le \frac{\gamma^2}{\sigma_j^2} \Big( g_j^2
        - m \mu_{g_j}^2 - \lambda^2 \langle g, \hat y_j \rangle^2 \Big)

    g_j is a squared norm already; the second term lacks lambda^2, the third 1 / m.
    """
    factors = {"power": 2, "mean_factor": 1.0, "inner_factor": bound**2}
    return _maximum(problem, direction, bound, "as printed", "<=", **factors)


def printed_square(
    problem: Problem, direction: np.ndarray, bound: np.ndarray
) -> Statement:
    """Theorem 4.4 with one misprint left: g_j^2 for g_j."""
    return _maximum(problem, direction, bound, "only g_j^2 as printed", "<=", power=2)


def printed_mean(
    problem: Problem, direction: np.ndarray, bound: np.ndarray
) -> Statement:
    """Theorem 4.4 with one misprint left: m mu^2 without lambda^2."""
    form = "only m mu^2 without lambda^2 as printed"
    return _maximum(problem, direction, bound, form, "<=", mean_factor=1.0)


def printed_inner(
    problem: Problem, direction: np.ndarray, bound: np.ndarray
) -> Statement:
    """Theorem 4.4 with one misprint left: the inner product without 1 / m."""
    form = "only <g, y_hat>^2 without 1/m as printed"
    return _maximum(problem, direction, bound, form, "<=", inner_factor=bound**2)


def equation_17(
    problem: Problem, direction: np.ndarray, bound: np.ndarray
) -> Statement:
    """Eq. (17) of the proof as printed: 1 / sqrt(m) for 1 / m at the inner product."""
    factor = bound**2 / np.sqrt(problem.m)
    form = "equation (17) as printed, 1/sqrt(m)"
    return _maximum(problem, direction, bound, form, "<=", inner_factor=factor)


def equation_18(
    problem: Problem, direction: np.ndarray, bound: np.ndarray
) -> Statement:
    """Eq. (18): g_j = lambda^2 |g|^2, the maximum in the normal network."""
    right = bound**2 * squared_norm(problem.g)
    left = normal_maximum(problem, direction, bound)
    return Statement(NAME, "equation (18)", "==", left, right, scale=right)


def normal_maximum(
    problem: Problem, direction: np.ndarray, bound: np.ndarray
) -> np.ndarray:
    """g_j: the largest ``|dL/dw|^2`` of the normal network with the outputs z."""
    w = layer.weights_for(problem.z, direction, bound)
    X = layer.maximizing_inputs(problem.z, problem.g, w, bound)
    return squared_norm(layer.weight_gradient(problem.loss, X, w))


def bn_maximum(
    problem: Problem, direction: np.ndarray, bound: np.ndarray
) -> np.ndarray:
    """g_hat_j: the largest ``|dL_hat/dw|^2`` of the normalized network, X w = y."""
    w = layer.weights_for(problem.y, direction, bound)
    X = layer.maximizing_inputs(problem.y, problem.bn_gradient, w, bound)
    return squared_norm(layer.weight_gradient(problem.bn_loss, X, w))


def _maximum(problem, direction, bound, form, relation, **factors) -> Statement:
    left = bn_maximum(problem, direction, bound)
    return _statement(problem, direction, bound, form, relation, left, **factors)


def _statement(
    problem,
    direction,
    bound,
    form,
    relation,
    left,
    *,
    power=1,
    mean_factor=None,
    inner_factor=None,
) -> Statement:
    """Right: gamma^2 / sigma^2 (g_j^power - mean_factor m mu^2 - inner_factor <>^2)."""
    m = problem.m
    if mean_factor is None:
        mean_factor = bound**2
    if inner_factor is None:
        inner_factor = bound**2 / m
    g_j = normal_maximum(problem, direction, bound) ** power
    _, mean_term, inner_term = terms(problem, problem.g)
    reduction = mean_factor * mean_term + inner_factor * m * inner_term
    return Statement(
        name=NAME,
        form=form,
        relation=relation,
        left=left,
        right=problem.ratio * (g_j - reduction),
        scale=problem.ratio * (g_j + reduction),
    )
