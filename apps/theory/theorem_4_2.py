"""Theorem 4.2: the effect of batch normalization on the smoothness of the loss.

Throughout, v is the gradient of the normalized loss with respect to y, H_hat its
Hessian, and g, H are the gradient and the Hessian of L, at z = BN(y) unless stated
otherwise. Except for `hessian`, every form is about ``v^T H_hat v``.
"""

import numpy as np

from apps.theory import derivatives
from apps.theory.linear_algebra import dot, largest_entry, outer, quadratic_form
from apps.theory.problem import Problem, Unit
from apps.theory.statement import TOLERANCE, Statement

NAME = "Theorem 4.2"


def hessian(problem: Problem) -> Statement:
    r"""Equations (41), (42): the Hessian of the batch-normalized loss.

    .. math:: \frac{\partial^2 \hat L}{\partial y_j \partial y_j} =
        \frac{\gamma^2}{\sigma^2} \Big[ P H P - \frac{1}{m \gamma} \Big(
        \bar g \hat y^T + \hat y \bar g^T
        - \frac{3}{m} \hat y \, g^T \hat y \, \hat y^T
        + \langle g, \hat y \rangle (I - \frac{1}{m} M) \Big) \Big]

    with ``P = I - y_hat y_hat^T / m - M / m``, ``M = 1 1^T``, g_bar = g - mean(g).
    """
    m, g, y_hat = problem.m, problem.g, problem.y_hat
    centring = np.eye(m) - 1 / m
    P = centring - outer(y_hat, y_hat) / m
    g_bar = g - g.mean(axis=-1, keepdims=True)
    inner = problem.inner[:, None, None]
    bracket = (
        outer(g_bar, y_hat)
        + outer(y_hat, g_bar)
        - 3 / m * inner * outer(y_hat, y_hat)
        + inner * centring
    )
    shift = bracket / (m * problem.gamma[:, None, None])
    right = problem.ratio[:, None, None] * (P @ problem.H @ P - shift)
    size = np.maximum(largest_entry(problem.H), largest_entry(shift))
    form, left = "Hessian, equations (41)-(42)", problem.bn_hessian
    return Statement(NAME, form, "==", left, right, scale=problem.ratio * size)


def first_equality(problem: Problem) -> Statement:
    r"""Theorem 4.2, first part, as its proof gives it, eq. (50): an equality.

    .. math:: v^T \hat H v = \frac{\gamma^2}{\sigma^2} (Qv)^T H (Qv)
        - \frac{\gamma}{m \sigma^2} \langle g, \hat y \rangle \Big( (3 - 2 s) \|v\|^2
        - \frac{\gamma^2 (1 - s)^2}{m \sigma^2} \langle g, \hat y \rangle^2 \Big)

    with ``Q = I - M / m - y_hat y_hat^T / m`` and s = |y_hat|^2 / m. In the paper
    epsilon = 0, so s = 1, Q v = v, and the rest is eq. (50).
    """
    curvature = quadratic_form(problem.H, problem.projected_gradient)
    right = equality_right(problem, curvature)
    return _statement(problem, "first part, equality (50)", "==", right)


def equality_right(unit: Unit, curvature: np.ndarray) -> np.ndarray:
    """Computes the right side of `first_equality` from (Q v)^T H (Q v)."""
    m, s, inner = unit.m, unit.s, unit.inner
    bracket = (3 - 2 * s) * unit.v_squared
    bracket = bracket - unit.ratio * ((1 - s) * inner) ** 2 / m
    return unit.ratio * curvature - unit.gamma / (m * unit.sigma**2) * inner * bracket


def first_printed(problem: Problem) -> Statement:
    r"""Theorem 4.2, first part, as printed, with g and H at z = BN(y).

    .. math:: v^T \hat H v \le \frac{\gamma^2}{\sigma^2} v^T H v
        - \frac{\gamma}{m \sigma^2} \langle g, \hat y \rangle \|v\|^2
    """
    right = _first_right(problem, problem.g, problem.along_v)
    return _statement(problem, "first part as printed, at z", "<=", right)


def first_printed_at_y(problem: Problem) -> Statement:
    """Theorem 4.2, first part, as printed, with g and H at the normal network's y.

    The formula is that of `first_printed`.
    """
    v = problem.bn_gradient
    curvature = dot(v, derivatives.hessian_vector_product(problem.loss, problem.y, v))
    right = _first_right(problem, problem.g_normal, curvature)
    return _statement(problem, "first part as printed, at y", "<=", right)


def second_printed(problem: Problem) -> Statement:
    r"""Theorem 4.2, second part, as printed, eq. (51).

    .. math:: v^T \hat H v \le \frac{\gamma^2}{\sigma^2} \Big( g^T H g
        - \frac{1}{m \gamma} \langle g, \hat y \rangle \|v\|^2 \Big)

    "if H preserves the relative norms of g and v", read as: H is positive
    semi-definite, so that it induces a norm, and |v|_H <= |g|_H exactly when
    |v| <= |g|.
    """
    return _second(problem, "second part as printed", norms_preserved(problem))


def second_corrected(problem: Problem) -> Statement:
    """Theorem 4.2, second part, with the condition its proof needs: |v| <= |g|.

    The formula is that of `second_printed`. By the first part it is equivalent to
    |v|_H <= |g|_H, which follows from preserved norms only if |v| <= |g|; by Theorem
    4.1 |gamma| <= sigma suffices for that.
    """
    form = "second part, with |v| <= |g|"
    return _second(problem, form, second_conditions(problem))


def second_normalized(problem: Problem) -> Statement:
    r"""Theorem 4.2, second part, without any condition on gamma and sigma.

    .. math:: \frac{v^T \hat H v}{\|v\|^2} \le \frac{\gamma^2}{\sigma^2} \Big(
        \frac{g^T H g}{\|g\|^2} - \frac{1}{m \gamma} \langle g, \hat y \rangle \Big)
        \quad\text{if}\quad
        \frac{v^T H v}{\|v\|^2} \le \frac{g^T H g}{\|g\|^2}

    This is the curvature along the gradient, which a step of gradient descent meets;
    unlike `second_printed`, it does not depend on the length of the gradient.
    """
    not_zero = problem.v_squared > 0
    v_squared = np.where(not_zero, problem.v_squared, 1.0)
    along_v = problem.along_v / v_squared
    along_g = problem.along_g / np.where(not_zero, problem.g_squared, 1.0)
    shift = problem.inner / (problem.m * problem.gamma)
    return Statement(
        NAME,
        "second part, curvature along the gradient",
        "<=",
        left=problem.bn_along_v / v_squared,
        right=problem.ratio * (along_g - shift),
        scale=problem.ratio * (np.abs(along_g) + np.abs(shift)),
        assumptions={
            "v is not 0": not_zero,
            "curvature of L along v <= along g": along_v <= along_g,
        },
    )


def more_predictive(problem: Problem) -> Statement:
    """Theorem 4.2's consequence as the text draws it: v^T H_hat v <= g^T H g.

    "If the quadratic forms involving the Hessian and the inner product <y_hat, g>
    are non-negative, the theorem implies more predictive gradients."
    """
    return _more_predictive(problem, "consequence, conditions as printed")


def more_predictive_corrected(problem: Problem) -> Statement:
    """Theorem 4.2's consequence with all the conditions it needs.

    The formula is that of `more_predictive`. Added: |gamma| <= sigma, gamma > 0, and
    the condition of the second part, |v|_H <= |g|_H.
    """
    conditions = {
        "0 < gamma <= sigma": (problem.gamma > 0) & (problem.gamma <= problem.sigma),
        "|v|_H <= |g|_H": problem.along_v <= problem.along_g,
    }
    return _more_predictive(problem, "consequence, conditions completed", conditions)


FORMS = (
    hessian,
    first_equality,
    first_printed,
    first_printed_at_y,
    second_printed,
    second_corrected,
    second_normalized,
    more_predictive,
    more_predictive_corrected,
)


def norms_preserved(problem: Problem) -> dict[str, np.ndarray]:
    """Returns the printed conditions of the second part by name, booleans ``[n]``."""
    shorter = problem.v_squared <= problem.g_squared
    shorter_in_h = problem.along_v <= problem.along_g
    return {
        "H is positive semi-definite": _is_positive_semidefinite(problem),
        "H preserves the order of |v| and |g|": shorter == shorter_in_h,
    }


def second_conditions(problem: Problem) -> dict[str, np.ndarray]:
    """Adds |v| <= |g| to `norms_preserved`; the proof fails without it."""
    shorter = problem.v_squared <= problem.g_squared
    return {**norms_preserved(problem), "|v| <= |g|": shorter}


def _is_positive_semidefinite(problem: Problem) -> np.ndarray:
    """Whether H has no eigenvalue below 0 except by rounding, ``[n]``."""
    values = problem.eigen.values
    return values[:, 0] >= -TOLERANCE * np.abs(values).max(axis=-1)


def _first_right(problem, g, curvature) -> np.ndarray:
    shift = dot(g, problem.y_hat) * problem.v_squared
    factor = problem.gamma / (problem.m * problem.sigma**2)
    return problem.ratio * curvature - factor * shift


def _second(problem, form, assumptions) -> Statement:
    shift = problem.inner * problem.v_squared / (problem.m * problem.gamma)
    right = problem.ratio * (problem.along_g - shift)
    return _statement(problem, form, "<=", right, assumptions)


def _more_predictive(problem, form, conditions=None) -> Statement:
    assumptions = {
        "H is positive semi-definite": _is_positive_semidefinite(problem),
        "<y_hat, g> >= 0": problem.inner >= 0,
        **(conditions or {}),
    }
    right = problem.along_g
    return _statement(problem, form, "<=", right, assumptions)


def _statement(problem, form, relation, right, assumptions=None) -> Statement:
    shift = np.abs(problem.gamma) / (problem.m * problem.sigma**2)
    shift = shift * np.abs(problem.inner)
    terms = problem.v_squared * (problem.ratio * largest_entry(problem.H) + shift)
    scale = np.maximum(terms, np.abs(right))
    left = problem.bn_along_v
    return Statement(NAME, form, relation, left, right, scale, assumptions or {})
