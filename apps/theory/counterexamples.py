"""The shortest counterexamples to the forms that fail: a batch of three, by hand.

All have the outputs y = (-1, 0, 1), so mu = 0, sigma^2 = 2/3 and
y_hat = sqrt(3/2) (-1, 0, 1); beta = 0. The gradient e = (1, -2, 1) is orthogonal to 1
and to y_hat: it is the only direction that passes through the normalization of three
samples.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from keras import ops

from apps.theory import (
    layer,
    lemma_4_5,
    theorem_4_1,
    theorem_4_2,
    theorem_4_4,
    theorem_c_1,
)
from apps.theory.linear_algebra import squared_norm
from apps.theory.problem import Problem
from apps.theory.regression import Regression

Y = np.array([-1.0, 0.0, 1.0])
E = np.array([1.0, -2.0, 1.0])
SIGMA = float(np.sqrt(2 / 3))


@dataclasses.dataclass(frozen=True)
class Counterexample:
    """An instance of a form of a statement in which left <= right is false.

    Attributes:
        name: the statement's name in the paper.
        form: which form of it.
        instance: the instance in words.
        left: left side.
        right: right side.
    """

    name: str
    form: str
    instance: str
    left: float
    right: float


def counterexamples() -> Iterator[Counterexample]:
    """All of them, in the order of the paper."""
    yield gradient_at_y()
    yield hessian_at_y()
    yield from longer_gradient()
    yield minimum_lost()
    yield square_misprint()
    yield mean_misprint()
    yield from inner_product_misprints()
    yield steep_inputs()
    yield start_at_the_optimum()
    yield start_opposite()
    yield not_strict()
    yield tilted_inputs()


def gradient_at_y() -> Counterexample:
    """Theorem 4.1 with the gradient read at y: y is the normal network's minimum."""
    problem = _halved_pull()
    return _of(
        theorem_4_1.printed_at_y(problem), "L(u) = (u_1 + 1)^2 / 2, gamma = sigma / 2"
    )


def hessian_at_y() -> Counterexample:
    """Theorem 4.2, first part, with g read at y: g = 0 there."""
    problem = _halved_pull()
    return _of(
        theorem_4_2.first_printed_at_y(problem),
        "L(u) = (u_1 + 1)^2 / 2, gamma = sigma / 2",
    )


def longer_gradient() -> Iterator[Counterexample]:
    """Theorem 4.2, second part: H = I preserves every norm, yet |v| = 2 |g|."""
    gamma = 2 * SIGMA
    target = 2 * Y - E

    def loss(u):
        return 0.5 * ops.sum((u - target) ** 2, axis=-1)

    problem = Problem(Y, gamma, loss=loss)
    words = "L(u) = |u - t|^2 / 2, t = z - (1, -2, 1), gamma = 2 sigma"
    yield _of(theorem_4_2.second_printed(problem), words)
    yield _of(theorem_4_2.more_predictive(problem), words)


def minimum_lost() -> Counterexample:
    """Observation 4.3: least squares without a bias, inputs that are not centred.

    The normal network's minimum is w* = (1, -1), with outputs (1, -1, 0) of mean 0.
    """
    regression = _plain_regression()
    w = regression.optimum()
    problem = _regression_problem(regression, w)
    gradient = layer.weight_gradient(problem.bn_loss, regression.X, w)
    return Counterexample(
        "Observation 4.3",
        "minima stay critical, any inputs",
        "X = ((1, 0), (0, 1), (0, 0)), t = (1, -1, 3), L(u) = |u - t|^2 / 2: "
        "|gradient| of the normalized loss at w* = (1, -1)",
        float(np.sqrt(squared_norm(gradient))[0]),
        0.0,
    )


def inner_product_misprints() -> Iterator[Counterexample]:
    """Theorem 4.4 and eq. (17) without 1 / m: the right side is negative."""
    problem = linear(Y)
    words = "L(u) = u_3 - u_1, gamma = sigma, lambda = 1"
    for form in (
        theorem_4_4.printed,
        theorem_4_4.printed_inner,
        theorem_4_4.equation_17,
    ):
        yield _of(form(problem, *_unit_layer()), words)


def mean_misprint() -> Counterexample:
    """Theorem 4.4 with m mu^2 in place of lambda^2 m mu^2: negative again."""
    problem = linear(np.ones(3))
    return _of(
        theorem_4_4.printed_mean(problem, *_unit_layer(bound=0.5)),
        "L(u) = u_1 + u_2 + u_3, gamma = sigma, lambda = 1/2",
    )


def square_misprint() -> Counterexample:
    """Theorem 4.4 with g_j^2 for g_j: too small as soon as g_j < 1."""
    problem = linear(0.1 * E)
    return _of(
        theorem_4_4.printed_square(problem, *_unit_layer()),
        "L(u) = (u_1 - 2 u_2 + u_3) / 10, gamma = sigma, lambda = 1",
    )


def steep_inputs(delta: float = 1e-3) -> Counterexample:
    """Theorem 4.4 if X moved y too: w sees the column delta y, the other is e.

    ``y = X w`` then is delta y and sigma becomes delta sigma: the maximum over X of
    the normalized network's gradient is infinite.
    """
    problem = linear(E)
    w = np.array([[1.0, 0.0]])
    steep = np.stack([delta * Y, E / np.linalg.norm(E)], axis=-1)[None]
    gradient = layer.weight_gradient(problem.bn_loss, steep, w)
    equality = theorem_4_4.equality(problem, *_unit_layer())
    return Counterexample(
        "Theorem 4.4",
        "the maximum taken over every X, y = X w moving along",
        f"L(u) = u_1 - 2 u_2 + u_3, gamma = sigma, lambda = 1, w = (1, 0), "
        f"X = ({delta} y, e / |e|)",
        float(squared_norm(gradient)[0]),
        float(equality.right[0]),
    )


def start_at_the_optimum() -> Counterexample:
    """Lemma 4.5: W_0 = W*, where the normalized network has no optimum."""
    regression = _plain_regression()
    start = regression.optimum()
    return _of(
        lemma_4_5.least_squares(regression, start, "any inputs", "<="),
        "the regression of Observation 4.3, W_0 = W* = (1, -1)",
    )


def start_opposite() -> Counterexample:
    """Lemma 4.5 without its condition <W_0, W*> > 0."""
    optimum = np.array([[[1.0, 0.0]]])
    return _of(
        lemma_4_5.nearest_of_several(optimum, np.array([[-1.0, 0.0]])),
        "W* = (1, 0), W_0 = -W*",
        "without <W_0, W*> > 0",
    )


def not_strict() -> Counterexample:
    """Theorem C.1 has "<": with H = 0 both sides are equal at X = lambda I."""
    problem = linear(E + Y, gamma=0.5 * SIGMA)
    return _of(
        theorem_c_1.whitened(problem, np.ones(1)),
        "L(u) = -2 u_2 + 2 u_3, gamma = sigma / 2, X = I: equal, not less",
        "strictly less at X X^T = lambda^2 I",
    )


def tilted_inputs() -> Counterexample:
    """Theorem C.1: the maximum over X is not at lambda I, so kappa is not left over.

    H = 0 meets every condition and kappa = 0, so the right side is 0. An X that mixes
    v with -y_hat makes the left side ``(3 sqrt(3) / 8) |gamma| |e| |v|^2 / (sigma^2
    sqrt(m))``.
    """
    problem = linear(E, gamma=0.5 * SIGMA)
    return _of(
        theorem_c_1.printed(problem, np.ones(1)),
        "L(u) = u_1 - 2 u_2 + u_3, gamma = sigma / 2, lambda = 1",
    )


def linear(slope: np.ndarray, gamma: float = SIGMA) -> Problem:
    """L(u) = <slope, u> at y = (-1, 0, 1)."""
    return Problem(Y, gamma, loss=_linear_loss(slope))


def _linear_loss(slope) -> Callable:
    return lambda u: ops.sum(slope * u, axis=-1)


def _halved_pull() -> Problem:
    """L(u) = (u_1 + 1)^2 / 2, at whose minimum the normal network stands."""
    return Problem(Y, 0.5 * SIGMA, loss=lambda u: 0.5 * (u[:, 0] + 1.0) ** 2)


def _unit_layer(bound: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A direction of the weights in two dimensions, and lambda."""
    return np.array([[1.0, 0.0]]), np.array([bound])


def _plain_regression() -> Regression:
    X = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    return Regression(X, np.array([[1.0, -1.0, 3.0]]))


def _regression_problem(regression, w) -> Problem:
    y = np.einsum("nmd,nd->nm", regression.X, w)

    def loss(u):
        return 0.5 * ops.sum((u - regression.t) ** 2, axis=-1)

    return Problem(y, y.std(axis=-1), y.mean(axis=-1), loss=loss)


def _of(statement, instance: str, form: str | None = None) -> Counterexample:
    return Counterexample(
        statement.name,
        form or statement.form,
        instance,
        float(statement.left[0]),
        float(statement.right[0]),
    )
