"""Facts C.1 and C.2: the gradient through batch normalization and its Jacobian."""

import numpy as np

from apps.theory import derivatives
from apps.theory.linear_algebra import dot, outer
from apps.theory.problem import Problem
from apps.theory.statement import Statement


def fact_c_1(problem: Problem) -> Statement:
    r"""Fact C.1, eq. (3): the gradient with respect to the input of BN.

    .. math:: \frac{\partial f}{\partial A^{(b)}} = \frac{\gamma}{m \sigma} \Big(
        m \frac{\partial f}{\partial C^{(b)}}
        - \sum_k \frac{\partial f}{\partial C^{(k)}}
        - B^{(b)} \sum_k \frac{\partial f}{\partial C^{(k)}} B^{(k)} \Big)

    with A = y, B = y_hat, C = z. Holds for any epsilon if sigma includes it.
    """
    m, g, y_hat = problem.m, problem.g, problem.y_hat
    factor = (problem.gamma / (m * problem.sigma))[:, None]
    sums = g.sum(axis=-1)[:, None] + y_hat * dot(g, y_hat)[:, None]
    right = factor * (m * g - sums)
    scale = abs(m * factor * g).max(axis=-1)
    left = problem.bn_gradient
    return Statement("Fact C.1", "as printed", "==", left, right, scale)


def fact_c_2(problem: Problem) -> Statement:
    r"""Fact C.2, eq. (2): the Jacobian of z with respect to y.

    .. math:: \frac{\partial z^{(b)}}{\partial y^{(k)}} = \frac{\gamma}{\sigma} \Big(
        1[b = k] - \frac{1}{m} - \frac{1}{m} \hat y^{(b)} \hat y^{(k)} \Big)

    gamma = 1 is eq. (1). Holds for any epsilon if sigma includes it. With epsilon = 0
    the bracket is the orthogonal projection that removes the mean and the component
    along y_hat: it has rank m - 2, and is 0 for a batch of two.
    """
    m, y_hat = problem.m, problem.y_hat
    factor = (problem.gamma / problem.sigma)[:, None, None]
    right = factor * (np.eye(m) - 1 / m - outer(y_hat, y_hat) / m)
    scale = abs(factor[:, 0, 0])
    left = derivatives.jacobian(problem.bn, problem.y)
    return Statement("Fact C.2", "as printed", "==", left, right, scale)


FORMS = (fact_c_1, fact_c_2)
