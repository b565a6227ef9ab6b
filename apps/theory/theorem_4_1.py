"""Theorem 4.1: the effect of batch normalization on the gradient of the loss."""

import numpy as np

from apps.theory.linear_algebra import dot, squared_norm
from apps.theory.problem import MeasuredUnit, Problem, Unit
from apps.theory.statement import Statement


def equality(problem: Problem | MeasuredUnit) -> Statement:
    r"""Theorem 4.1 as its proof gives it, eq. (9): an equality, gradient at z.

    .. math:: \|\nabla_{y_j} \hat L\|^2 = \frac{\gamma^2}{\sigma_j^2} \Big(
        \|g\|^2 - \frac{1}{m} \langle 1, g \rangle^2
        - \frac{2 - s}{m} \langle g, \hat y_j \rangle^2 \Big),
        \qquad g = \nabla L(z_j)

    with s = |y_hat|^2 / m, which is 1 in the paper and variance / (variance + epsilon)
    in Keras.
    """
    factor = 2 - problem.s
    return _statement(problem, "equality, gradient at z", "==", problem.g, factor)


def printed(problem: Problem | MeasuredUnit) -> Statement:
    r"""Theorem 4.1 as printed, with the gradient of L taken at z = BN(y).

    .. math:: \|\nabla_{y_j} \hat L\|^2 \le \frac{\gamma^2}{\sigma_j^2} \Big(
        \|\nabla_{y_j} L\|^2 - \frac{1}{m} \langle 1, \nabla_{y_j} L \rangle^2
        - \frac{1}{m} \langle \nabla_{y_j} L, \hat y_j \rangle^2 \Big)

    The proof sets dL/dz = dL/dy, which requires this reading.
    """
    return _statement(problem, "as printed, gradient at z", "<=", problem.g, 1.0)


def printed_at_y(problem: Problem) -> Statement:
    """Theorem 4.1 as printed, with the gradient of L at the normal network's y.

    "An identical non-BN network" has the outputs y, not z = BN(y). The formula is
    that of `printed`.
    """
    form = "as printed, gradient at y"
    return _statement(problem, form, "<=", problem.g_normal, 1.0)


FORMS = (equality, printed, printed_at_y)


def terms(unit: Unit, g: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns the three terms, ``[n]`` each.

    |g|^2, the mean-gradient term <1, g>^2 / m, the inner-product term <g, y_hat>^2 / m.
    """
    return (
        squared_norm(g),
        g.sum(axis=-1) ** 2 / unit.m,
        dot(g, unit.y_hat) ** 2 / unit.m,
    )


def _statement(problem, form, relation, g, inner_factor) -> Statement:
    norm, mean_term, inner_term = terms(problem, g)
    right = problem.ratio * (norm - mean_term - inner_factor * inner_term)
    left, scale = problem.v_squared, problem.ratio * norm
    return Statement("Theorem 4.1", form, relation, left, right, scale)
