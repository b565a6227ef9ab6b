"""Fact C.2: the Jacobian of batch normalization."""

import numpy as np

from apps.theory import derivatives as autodiff
from apps.theory.problem import Problem
from apps.theory.statement import Statement


def fact_c_2(problem: Problem) -> Statement:
    r"""Fact C.2, eq. (2): the Jacobian of z with respect to y.

    .. math:: \frac{\partial z^{(b)}}{\partial y^{(k)}} = \frac{\gamma}{\sigma} \Big(
        1[b = k] - \frac{1}{m} - \frac{1}{m} \hat y^{(b)} \hat y^{(k)} \Big)

    gamma = 1 is eq. (1). Holds for any epsilon, sigma then including it. With
    epsilon = 0 the bracket is the orthogonal projection that removes the mean and the
    component along y_hat: it has rank m - 2, and is 0 for a batch of two.
    """
    m, y_hat = problem.m, problem.y_hat
    factor = (problem.gamma / problem.sigma)[:, None, None]
    outer = y_hat[:, :, None] * y_hat[:, None, :]
    return Statement(
        name="Fact C.2",
        form="as printed",
        relation="==",
        left=autodiff.jacobian(problem.bn, problem.y),
        right=factor * (np.eye(m) - 1 / m - outer / m),
        scale=abs(factor[:, 0, 0]),
    )
