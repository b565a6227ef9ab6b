"""The shortest counterexamples to the forms that fail: a batch of three, by hand.

All have the outputs y = (-1, 0, 1), so mu = 0, sigma^2 = 2/3 and
y_hat = sqrt(3/2) (-1, 0, 1); beta = 0. The gradient e = (1, -2, 1) is orthogonal to 1
and to y_hat: it is the only direction that passes through the normalization of three
samples.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from keras import ops

from apps.theory import lemma_4_5, theorem_4_1, theorem_4_2, theorem_4_4, theorem_c_1
from apps.theory.layer import Layer, weight_gradient
from apps.theory.lemma_4_5 import Regression
from apps.theory.linear_algebra import squared_norm
from apps.theory.observation_4_3 import at_own_scale
from apps.theory.problem import Problem

Y = np.array([-1.0, 0.0, 1.0])
E = np.array([1.0, -2.0, 1.0])
SIGMA = float(np.sqrt(2 / 3))


class Counterexample(NamedTuple):
    """An instance for which a form of a statement, left <= right, is false.

    Attributes:
        name: The statement's name in the paper.
        form: Which form of it.
        instance: The instance in words.
        left: Left side.
        right: Right side.
    """

    name: str
    form: str
    instance: str
    left: float
    right: float


def counterexamples() -> Iterator[Counterexample]:
    """Yields all counterexamples, in the order of the paper."""
    yield from _theorems_4_1_and_4_2()
    yield _observation_4_3()
    yield from _theorem_4_4()
    yield from _lemma_4_5()
    yield from _theorem_c_1()


def linear_layer(slope: np.ndarray, gamma: float = SIGMA, bound: float = 1.0) -> Layer:
    """Returns L(u) = <slope, u> at y = (-1, 0, 1), behind two weights."""
    problem = Problem(Y, gamma, loss=lambda u: ops.sum(slope * u, axis=-1))
    return Layer(problem, np.array([bound]), np.array([[1.0, 0.0]]))


def _theorems_4_1_and_4_2() -> Iterator[Counterexample]:
    # y is the minimum of the normal network, where its gradient is 0.
    problem = Problem(Y, 0.5 * SIGMA, loss=lambda u: 0.5 * (u[:, 0] + 1.0) ** 2)
    words = "L(u) = (u_1 + 1)^2 / 2, gamma = sigma / 2"
    yield _of(theorem_4_1.printed_at_y(problem), words)
    yield _of(theorem_4_2.first_printed_at_y(problem), words)

    # H = I preserves every norm, yet |v| = 2 |g|.
    problem = Problem(Y, 2 * SIGMA, loss=_squared_distance(2 * Y - E))
    words = "L(u) = |u - t|^2 / 2, t = z - (1, -2, 1), gamma = 2 sigma"
    yield _of(theorem_4_2.second_printed(problem), words)
    yield _of(theorem_4_2.more_predictive(problem), words)


def _observation_4_3() -> Counterexample:
    # Least squares without a bias, for inputs that are not centred: the minimum has
    # the outputs (1, -1, 0), whose mean is 0.
    regression = _regression()
    w = regression.optimum()
    y = np.einsum("nmd,nd->nm", regression.X, w)
    problem = at_own_scale(Problem(y, loss=_squared_distance(regression.t)))
    gradient = weight_gradient(problem.bn_loss, regression.X, w)
    return Counterexample(
        "Observation 4.3",
        "minima stay critical, any inputs",
        "X = ((1, 0), (0, 1), (0, 0)), t = (1, -1, 3), L(u) = |u - t|^2 / 2: "
        "|gradient| of the normalized loss at w* = (1, -1)",
        float(np.sqrt(squared_norm(gradient))[0]),
        0.0,
    )


def _theorem_4_4() -> Iterator[Counterexample]:
    # g_j^2 for g_j is too small as soon as g_j < 1.
    layer = linear_layer(0.1 * E)
    words = "L(u) = (u_1 - 2 u_2 + u_3) / 10, gamma = sigma, lambda = 1"
    yield _of(theorem_4_4.printed_square(layer), words)

    # The other misprints make the right side negative.
    layer = linear_layer(np.ones(3), bound=0.5)
    words = "L(u) = u_1 + u_2 + u_3, gamma = sigma, lambda = 1/2"
    yield _of(theorem_4_4.printed_mean(layer), words)
    layer, words = linear_layer(Y), "L(u) = u_3 - u_1, gamma = sigma, lambda = 1"
    yield _of(theorem_4_4.printed(layer), words)
    yield _of(theorem_4_4.printed_inner(layer), words)
    yield _of(theorem_4_4.equation_17(layer), words)

    # If X moved y too, sigma could be made small and the maximum would be infinite.
    delta, layer = 1e-3, linear_layer(E)
    steep = np.stack([delta * Y, E / np.linalg.norm(E)], axis=-1)[None]
    gradient = weight_gradient(layer.problem.bn_loss, steep, layer.direction)
    yield Counterexample(
        "Theorem 4.4",
        "the maximum taken over every X, y = X w moving along",
        f"L(u) = u_1 - 2 u_2 + u_3, gamma = sigma, lambda = 1, w = (1, 0), "
        f"X = ({delta} y, e / |e|)",
        float(squared_norm(gradient)[0]),
        float(theorem_4_4.equality(layer).right[0]),
    )


def _lemma_4_5() -> Iterator[Counterexample]:
    # W_0 is the optimum of the normal network and not one of the normalized network.
    regression = _regression()
    yield _of(
        lemma_4_5.least_squares(regression, regression.optimum(), "any inputs", "<="),
        "the regression of Observation 4.3, W_0 = W* = (1, -1)",
    )
    optimum = np.array([[[1.0, 0.0]]])
    yield _of(
        lemma_4_5.nearest_of_several(optimum, -optimum[:, 0]),
        "W* = (1, 0), W_0 = -W*",
        "without <W_0, W*> > 0",
    )


def _theorem_c_1() -> Iterator[Counterexample]:
    # The paper has "<", but with H = 0 both sides are equal at X = lambda I.
    yield _of(
        theorem_c_1.whitened(linear_layer(E + Y, 0.5 * SIGMA)),
        "L(u) = -2 u_2 + 2 u_3, gamma = sigma / 2, X = I: equal, not less",
        "strictly less at X X^T = lambda^2 I",
    )
    # H = 0 meets every condition and kappa = 0, so the right side is 0. An X that
    # mixes v with -y_hat makes the left side
    # (3 sqrt(3) / 8) |gamma| |e| |v|^2 / (sigma^2 sqrt(m)).
    yield _of(
        theorem_c_1.printed(linear_layer(E, 0.5 * SIGMA)),
        "L(u) = u_1 - 2 u_2 + u_3, gamma = sigma / 2, lambda = 1",
    )


def _regression() -> Regression:
    X = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    return Regression(X, np.array([[1.0, -1.0, 3.0]]))


def _squared_distance(target):
    return lambda u: 0.5 * ops.sum((u - target) ** 2, axis=-1)


def _of(statement, instance: str, form: str | None = None) -> Counterexample:
    left, right = float(statement.left[0]), float(statement.right[0])
    return Counterexample(statement.name, form or statement.form, instance, left, right)
