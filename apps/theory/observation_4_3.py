"""Observation 4.3: batch normalization can represent what the normal network does.

With gamma = sigma_j and beta = mu_j the unit's outputs are unchanged, and
"consequently, all of the minima of the normal landscape are preserved". The second
half is about the weights w of the layer, y = X w, with gamma and beta held fixed as
everywhere in Section 4.
"""

import dataclasses
from collections.abc import Callable
from functools import cached_property

import numpy as np
from keras import ops

from apps.theory import layer
from apps.theory.linear_algebra import least_squares, squared_norm
from apps.theory.problem import Problem
from apps.theory.statement import Statement

NAME = "Observation 4.3"


def same_outputs(problem: Problem) -> Statement:
    """BN with gamma = sigma_j and beta = mu_j returns y_j itself."""
    y = problem.y
    left = ops.convert_to_numpy(at_own_scale(problem).bn(ops.convert_to_tensor(y)))
    return Statement(NAME, "same activations", "==", left, y, np.abs(y).max(axis=-1))


def at_own_scale(problem: Problem) -> Problem:
    """Sets BN as the observation does: gamma = sigma_j, beta = mu_j."""
    return dataclasses.replace(problem, gamma=problem.sigma, beta=problem.mean)


@dataclasses.dataclass(frozen=True)
class Minimum:
    """A loss that has a strict local minimum over the weights at w*, y = X w*.

    L(u) = f(u) - <grad f(y*), u> + <r, u> + rho / 2 |u - y*|^2, with r orthogonal to
    the columns of X: its gradient with respect to w at w* is X^T r = 0, and rho makes
    the Hessian with respect to w positive definite there.

    Attributes:
        f: Any smooth loss, ``[n, m] -> [n]``.
        X: Inputs of the layer, ``[n, m, d]``.
        w: w*, ``[n, d]``.
        t: Any vectors ``[n, m]``; r is their component orthogonal to the columns of X.
    """

    f: Callable
    X: np.ndarray
    w: np.ndarray
    t: np.ndarray

    @cached_property
    def problem(self) -> Problem:
        """The loss at y = X w*, with gamma = sigma_j and beta = mu_j."""
        X, y = self.X, np.einsum("nmd,nd->nm", self.X, self.w)
        r = self.t - np.einsum("nmd,nd->nm", X, least_squares(X, self.t))
        slope = r - Problem(y, loss=self.f).g_normal
        curvature = layer.weight_hessian(self.f, X, self.w)
        gram = np.swapaxes(X, 1, 2) @ X
        lowest = np.linalg.eigvals(np.linalg.solve(gram, curvature)).real.min(axis=-1)
        rho = 1.0 + 2.0 * np.maximum(-lowest, 0.0)

        def loss(u):
            distance = ops.sum((u - y) * (u - y), axis=-1)
            return self.f(u) + ops.sum(slope * u, axis=-1) + 0.5 * rho * distance

        return at_own_scale(Problem(y, loss=loss))


def minimum_stays_critical(minimum: Minimum, inputs: str) -> Statement:
    """The gradient of the normalized loss with respect to w is 0 at the minimum w*.

    Args:
        minimum: A minimum of the normal network.
        inputs: What is known of X, for the name of the form.
    """
    X, t = minimum.X, minimum.t
    gradient = layer.weight_gradient(minimum.problem.bn_loss, X, minimum.w)
    left = np.sqrt(squared_norm(gradient))
    scale = np.linalg.norm(X, ord=2, axis=(-2, -1)) * np.sqrt(squared_norm(t))
    form = f"minima stay critical, {inputs}"
    return Statement(NAME, form, "==", left, np.zeros_like(left), scale)


def minimum_stays_minimum(minimum: Minimum, inputs: str) -> Statement:
    """The Hessian of the normalized loss in w has no negative eigenvalue at w*.

    Zero is always an eigenvalue: the loss does not change along w* itself. The
    arguments are those of `minimum_stays_critical`.
    """
    problem, X, w = minimum.problem, minimum.X, minimum.w
    left = -np.linalg.eigvalsh(layer.weight_hessian(problem.bn_loss, X, w))[:, 0]
    normal = np.linalg.eigvalsh(layer.weight_hessian(problem.loss, X, w))
    scale = np.abs(normal).max(axis=-1)
    form = f"minima stay minima (Hessian), {inputs}"
    return Statement(NAME, form, "<=", left, np.zeros_like(left), scale)
