"""Theorem 4.2: the effect of batch normalization on the smoothness of the loss.

Throughout, v is the gradient of the normalized loss with respect to y, H_hat its
Hessian, and g, H are the gradient and the Hessian of L, at z = BN(y) unless said
otherwise. Every form is about ``v^T H_hat v``.
"""

import numpy as np

from apps.theory import derivatives as autodiff
from apps.theory.linear_algebra import dot, quadratic_form, squared_norm
from apps.theory.problem import MeasuredUnit, Problem
from apps.theory.statement import TOLERANCE, Statement


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
    P = centring - _outer(y_hat, y_hat) / m
    g_bar = g - g.mean(axis=-1, keepdims=True)
    inner = dot(g, y_hat)[:, None, None]
    bracket = (
        _outer(g_bar, y_hat)
        + _outer(y_hat, g_bar)
        - 3 / m * inner * _outer(y_hat, y_hat)
        + inner * centring
    )
    curvature = P @ problem.H @ P
    shift = bracket / (m * problem.gamma[:, None, None])
    ratio = problem.ratio[:, None, None]
    return Statement(
        name="Theorem 4.2",
        form="Hessian, equations (41)-(42)",
        relation="==",
        left=problem.bn_hessian,
        right=ratio * (curvature - shift),
        scale=problem.ratio * np.maximum(_largest(problem.H), _largest(shift)),
    )


def first_equality(problem: Problem) -> Statement:
    r"""Theorem 4.2, first part, as its proof gives it, eq. (50): an equality.

    .. math:: v^T \hat H v = \frac{\gamma^2}{\sigma^2} (Qv)^T H (Qv)
        - \frac{\gamma}{m \sigma^2} \langle g, \hat y \rangle \Big( (3 - 2 s) \|v\|^2
        - \frac{\gamma^2 (1 - s)^2}{m \sigma^2} \langle g, \hat y \rangle^2 \Big)

    with ``Q = I - M / m - y_hat y_hat^T / m`` and s = |y_hat|^2 / m. In the paper
    epsilon = 0, so s = 1, Q v = v, and what is left is eq. (50).
    """
    curvature = quadratic_form(problem.H, projected_gradient(problem))
    right = equality_right(problem, curvature)
    return _statement(problem, "first part, equality (50)", "==", right)


def projected_gradient(unit: Problem | MeasuredUnit) -> np.ndarray:
    """Q v of `first_equality`, which is v itself if epsilon = 0."""
    v, y_hat = unit.bn_gradient, unit.y_hat
    along_y_hat = y_hat * dot(y_hat, v)[:, None] / unit.m
    return v - v.mean(axis=-1, keepdims=True) - along_y_hat


def equality_right(unit: Problem | MeasuredUnit, curvature: np.ndarray) -> np.ndarray:
    """The right side of `first_equality`, given (Q v)^T H (Q v)."""
    m, inner = unit.m, dot(unit.g, unit.y_hat)
    s = squared_norm(unit.y_hat) / m
    bracket = (3 - 2 * s) * squared_norm(unit.bn_gradient)
    bracket = bracket - unit.ratio * ((1 - s) * inner) ** 2 / m
    return unit.ratio * curvature - unit.gamma / (m * unit.sigma**2) * inner * bracket


def first_printed(problem: Problem) -> Statement:
    r"""Theorem 4.2, first part, as printed, g and H read at z = BN(y).

    .. math:: v^T \hat H v \le \frac{\gamma^2}{\sigma^2} v^T H v
        - \frac{\gamma}{m \sigma^2} \langle g, \hat y \rangle \|v\|^2
    """
    curvature = quadratic_form(problem.H, problem.bn_gradient)
    right = _first_right(problem, problem.g, curvature)
    return _statement(problem, "first part as printed, at z", "<=", right)


def first_printed_at_y(problem: Problem) -> Statement:
    """Theorem 4.2, first part, as printed, g and H read at the normal network's y.

    The formula is that of `first_printed`.
    """
    v = problem.bn_gradient
    curvature = dot(v, autodiff.hessian_vector_product(problem.loss, problem.y, v))
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
    |v|_H <= |g|_H, which preserved norms give only if |v| <= |g|; by Theorem 4.1
    |gamma| <= sigma is enough for that.
    """
    form = "second part, with |v| <= |g|"
    return _second(problem, form, second_conditions(problem))


def second_normalized(problem: Problem) -> Statement:
    r"""Theorem 4.2, second part, without any condition on gamma and sigma.

    .. math:: \frac{v^T \hat H v}{\|v\|^2} \le \frac{\gamma^2}{\sigma^2} \Big(
        \frac{g^T H g}{\|g\|^2} - \frac{1}{m \gamma} \langle g, \hat y \rangle \Big)
        \quad\text{if}\quad
        \frac{v^T H v}{\|v\|^2} \le \frac{g^T H g}{\|g\|^2}

    The curvature along the gradient, which is what a step of gradient descent meets:
    it does not change when the loss's gradient is merely made longer.
    """
    v, g, H = problem.bn_gradient, problem.g, problem.H
    not_zero = squared_norm(v) > 0
    v_squared = np.where(not_zero, squared_norm(v), 1.0)
    along_v = quadratic_form(H, v) / v_squared
    along_g = quadratic_form(H, g) / np.where(not_zero, squared_norm(g), 1.0)
    shift = dot(g, problem.y_hat) / (problem.m * problem.gamma)
    return Statement(
        name="Theorem 4.2",
        form="second part, curvature along the gradient",
        relation="<=",
        left=quadratic_form(problem.bn_hessian, v) / v_squared,
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
    return _more_predictive(problem, "consequence, conditions as printed", {})


def more_predictive_corrected(problem: Problem) -> Statement:
    """Theorem 4.2's consequence with every condition that it needs.

    The formula is that of `more_predictive`. Added: |gamma| <= sigma, gamma > 0, and
    the condition of the second part, |v|_H <= |g|_H.
    """
    v, g, H = problem.bn_gradient, problem.g, problem.H
    conditions = {
        "0 < gamma <= sigma": (problem.gamma > 0) & (problem.gamma <= problem.sigma),
        "|v|_H <= |g|_H": quadratic_form(H, v) <= quadratic_form(H, g),
    }
    return _more_predictive(problem, "consequence, conditions completed", conditions)


def norms_preserved(problem: Problem) -> dict[str, np.ndarray]:
    """The conditions of the second part, one boolean an instance each."""
    v, g, H = problem.bn_gradient, problem.g, problem.H
    shorter = squared_norm(v) <= squared_norm(g)
    shorter_in_h = quadratic_form(H, v) <= quadratic_form(H, g)
    return {
        "H is positive semi-definite": is_positive_semidefinite(problem),
        "H preserves the order of |v| and |g|": shorter == shorter_in_h,
    }


def second_conditions(problem: Problem) -> dict[str, np.ndarray]:
    """Those of `norms_preserved` and |v| <= |g|, without which the proof fails."""
    v, g = problem.bn_gradient, problem.g
    shorter = squared_norm(v) <= squared_norm(g)
    return {**norms_preserved(problem), "|v| <= |g|": shorter}


def is_positive_semidefinite(problem: Problem) -> np.ndarray:
    """Whether H has no eigenvalue below 0, to rounding, ``[n]``."""
    values = problem.eigen.values
    return values[:, 0] >= -TOLERANCE * np.abs(values).max(axis=-1)


def _first_right(problem, g, curvature) -> np.ndarray:
    shift = dot(g, problem.y_hat) * squared_norm(problem.bn_gradient)
    factor = problem.gamma / (problem.m * problem.sigma**2)
    return problem.ratio * curvature - factor * shift


def _second(problem, form, assumptions) -> Statement:
    v, g = problem.bn_gradient, problem.g
    shift = dot(g, problem.y_hat) * squared_norm(v) / (problem.m * problem.gamma)
    right = problem.ratio * (quadratic_form(problem.H, g) - shift)
    return _statement(problem, form, "<=", right, assumptions)


def _more_predictive(problem, form, conditions) -> Statement:
    g = problem.g
    assumptions = {
        "H is positive semi-definite": is_positive_semidefinite(problem),
        "<y_hat, g> >= 0": dot(g, problem.y_hat) >= 0,
        **conditions,
    }
    right = quadratic_form(problem.H, g)
    return _statement(problem, form, "<=", right, assumptions)


def _statement(problem, form, relation, right, assumptions=None) -> Statement:
    v_squared = squared_norm(problem.bn_gradient)
    inner = np.abs(dot(problem.g, problem.y_hat))
    shift = np.abs(problem.gamma) / (problem.m * problem.sigma**2) * inner
    terms = v_squared * (problem.ratio * _largest(problem.H) + shift)
    return Statement(
        name="Theorem 4.2",
        form=form,
        relation=relation,
        left=quadratic_form(problem.bn_hessian, problem.bn_gradient),
        right=right,
        scale=np.maximum(terms, np.abs(right)),
        assumptions=assumptions or {},
    )


def _outer(a, b) -> np.ndarray:
    return a[:, :, None] * b[:, None, :]


def _largest(matrix) -> np.ndarray:
    return np.abs(matrix).max(axis=(-2, -1))
