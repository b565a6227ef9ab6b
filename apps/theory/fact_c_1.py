"""Fact C.1: the gradient through batch normalization."""

from apps.theory.linear_algebra import dot
from apps.theory.problem import Problem
from apps.theory.statement import Statement


def fact_c_1(problem: Problem) -> Statement:
    r"""Fact C.1, eq. (3): the gradient with respect to the input of BN.

    .. math:: \frac{\partial f}{\partial A^{(b)}} = \frac{\gamma}{m \sigma} \Big(
        m \frac{\partial f}{\partial C^{(b)}}
        - \sum_k \frac{\partial f}{\partial C^{(k)}}
        - B^{(b)} \sum_k \frac{\partial f}{\partial C^{(k)}} B^{(k)} \Big)

    with A = y, B = y_hat, C = z. Holds for any epsilon, sigma then including it.
    """
    m, g, y_hat = problem.m, problem.g, problem.y_hat
    factor = (problem.gamma / (m * problem.sigma))[:, None]
    sums = g.sum(axis=-1)[:, None] + y_hat * dot(g, y_hat)[:, None]
    return Statement(
        name="Fact C.1",
        form="as printed",
        relation="==",
        left=problem.bn_gradient,
        right=factor * (m * g - sums),
        scale=abs(m * factor * g).max(axis=-1),
    )
