"""Theorem 4.4: the minimax bound on the gradient with respect to the weights.

The maximum over the layer's inputs X is taken at fixed outputs of the unit, X w = y
(see `layer`): this fixes the gradients with respect to y, sigma and y_hat, as the
proof requires. g is the gradient of L at z = BN(y), lambda the bound on |X|, g_j the
maximum of ``|dL/dw|^2`` in the normal network whose outputs are z, and g_hat_j that
of ``|dL_hat/dw|^2`` in the normalized network. The paper has epsilon = 0, and so does
this module.
"""

import numpy as np

from apps.theory.layer import Layer, random_inputs, weight_gradient
from apps.theory.linear_algebra import squared_norm
from apps.theory.statement import Statement
from apps.theory.theorem_4_1 import terms

NAME = "Theorem 4.4"


def equation_18(layer: Layer) -> Statement:
    """Eq. (18): g_j = lambda^2 |g|^2, the maximum in the normal network."""
    right = layer.bound**2 * squared_norm(layer.problem.g)
    left = layer.normal_maximum
    return Statement(NAME, "equation (18)", "==", left, right, scale=right)


def equality(layer: Layer) -> Statement:
    r"""Theorem 4.4 as its proof gives it, corrected: an equality.

    .. math:: \hat g_j = \frac{\gamma^2}{\sigma_j^2} \Big( g_j
        - \lambda^2 m \mu_g^2
        - \frac{\lambda^2}{m} \langle g, \hat y_j \rangle^2 \Big)
    """
    return _statement(layer, "corrected, an equality", "==")


def every_input(layer: Layer) -> Statement:
    """Eq. (16): the corrected bound for any inputs X of norm at most lambda.

    Left is ``|dL_hat/dw|^2`` at the X that `layer.contraction` selects.
    """
    problem = layer.problem
    w = layer.weights(problem.y)
    X = random_inputs(problem.y, w, layer.bound, layer.contraction)
    left = squared_norm(weight_gradient(problem.bn_loss, X, w))
    return _statement(layer, "corrected, any inputs X", "<=", left)


def printed(layer: Layer) -> Statement:
    r"""Theorem 4.4 as printed.

    .. math:: \hat g_j \le \frac{\gamma^2}{\sigma_j^2} \Big( g_j^2
        - m \mu_{g_j}^2 - \lambda^2 \langle g, \hat y_j \rangle^2 \Big)

    g_j is already a squared norm; the second term lacks lambda^2, the third 1 / m.
    """
    factors = {"power": 2, "mean_factor": 1.0, "inner_factor": layer.bound**2}
    return _statement(layer, "as printed", "<=", **factors)


def printed_square(layer: Layer) -> Statement:
    """Theorem 4.4 with a single misprint left: g_j^2 for g_j."""
    return _statement(layer, "only g_j^2 as printed", "<=", power=2)


def printed_mean(layer: Layer) -> Statement:
    """Theorem 4.4 with a single misprint left: m mu^2 without lambda^2."""
    form = "only m mu^2 without lambda^2 as printed"
    return _statement(layer, form, "<=", mean_factor=1.0)


def printed_inner(layer: Layer) -> Statement:
    """Theorem 4.4 with a single misprint left: the inner product without 1 / m."""
    form = "only <g, y_hat>^2 without 1/m as printed"
    return _statement(layer, form, "<=", inner_factor=layer.bound**2)


def equation_17(layer: Layer) -> Statement:
    """Eq. (17) of the proof as printed: 1 / sqrt(m) for 1 / m at the inner product."""
    factor = layer.bound**2 / np.sqrt(layer.problem.m)
    form = "equation (17) as printed, 1/sqrt(m)"
    return _statement(layer, form, "<=", inner_factor=factor)


FORMS = (
    equation_18,
    equality,
    every_input,
    printed,
    printed_square,
    printed_mean,
    printed_inner,
    equation_17,
)


def _statement(
    layer, form, relation, left=None, power=1, mean_factor=None, inner_factor=None
) -> Statement:
    """Right: gamma^2 / sigma^2 (g_j^power - mean_factor m mu^2 - inner_factor <>^2)."""
    problem, m, bound = layer.problem, layer.problem.m, layer.bound
    if left is None:
        left = layer.bn_maximum
    if mean_factor is None:
        mean_factor = bound**2
    if inner_factor is None:
        inner_factor = bound**2 / m
    g_j = layer.normal_maximum**power
    _, mean_term, inner_term = terms(problem, problem.g)
    reduction = mean_factor * mean_term + inner_factor * m * inner_term
    right, scale = problem.ratio * (g_j - reduction), problem.ratio * (g_j + reduction)
    return Statement(NAME, form, relation, left, right, scale)
