"""Observation 4.3: batch normalization can represent what the normal network does.

With gamma = sigma_j and beta = mu_j the unit's outputs are unchanged, and
"consequently, all of the minima of the normal landscape are preserved". The second
half is about the weights w of the layer, y = X w, gamma and beta held fixed as
everywhere in Section 4.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from keras import ops

from apps.theory import layer
from apps.theory.batch_norm import statistics
from apps.theory.linear_algebra import operator_norm, squared_norm
from apps.theory.problem import Problem
from apps.theory.regression import least_squares
from apps.theory.statement import Statement

NAME = "Observation 4.3"


def same_outputs(problem: Problem) -> Statement:
    """BN with gamma = sigma_j and beta = mu_j returns y_j itself."""
    unchanged = at_own_scale(problem)
    return Statement(
        name=NAME,
        form="same activations",
        relation="==",
        left=ops.convert_to_numpy(unchanged.bn(ops.convert_to_tensor(problem.y))),
        right=problem.y,
        scale=np.abs(problem.y).max(axis=-1),
    )


def at_own_scale(problem: Problem) -> Problem:
    """The BN configuration of the observation: gamma = sigma_j, beta = mu_j."""
    mean, sigma, _ = problem.statistics
    return dataclasses.replace(problem, gamma=sigma, beta=mean)


@dataclasses.dataclass(frozen=True)
class Minimum:
    """A loss that has a strict local minimum over the weights at w*, y = X w*.

    L(u) = f(u) - <grad f(y*), u> + <r, u> + rho / 2 |u - y*|^2, with r orthogonal to
    the columns of X: its gradient with respect to w at w* is X^T r = 0, and rho makes
    the Hessian with respect to w positive definite there.

    Attributes:
        f: any smooth loss, ``[n, m] -> [n]``.
        X: inputs of the layer, ``[n, m, d]``.
        w: w*, ``[n, d]``.
        t: any vectors ``[n, m]``; r is what is left of them beside the columns of X.
    """

    f: Callable
    X: np.ndarray
    w: np.ndarray
    t: np.ndarray

    def problem(self) -> Problem:
        """The loss at y = X w*, with gamma = sigma_j and beta = mu_j."""
        X, y = self.X, np.einsum("nmd,nd->nm", self.X, self.w)
        r = self.residual()
        slope = r - Problem(y, loss=self.f).g_normal
        curvature = layer.weight_hessian(self.f, X, self.w)
        gram = np.swapaxes(X, 1, 2) @ X
        relative = np.linalg.eigvals(np.linalg.solve(gram, curvature)).real
        lowest = relative.min(axis=-1)
        rho = 1.0 + 2.0 * np.maximum(-lowest, 0.0)

        def loss(u):
            distance = ops.sum((u - y) * (u - y), axis=-1)
            return self.f(u) + ops.sum(slope * u, axis=-1) + 0.5 * rho * distance

        mean, sigma, _ = statistics(y)
        return Problem(y, gamma=sigma, beta=mean, loss=loss)

    def residual(self) -> np.ndarray:
        """r, the gradient of the loss with respect to y at the minimum."""
        fitted = np.einsum("nmd,nd->nm", self.X, least_squares(self.X, self.t))
        return self.t - fitted


def minimum_stays_critical(minimum: Minimum, inputs: str) -> Statement:
    """The gradient of the normalized loss with respect to w is 0 at the minimum w*.

    Args:
        minimum: a minimum of the normal network, with gamma and beta as observed.
        inputs: what is known of X, for the name of the form.
    """
    problem = minimum.problem()
    gradient = layer.weight_gradient(problem.bn_loss, minimum.X, minimum.w)
    return Statement(
        name=NAME,
        form=f"minima stay critical, {inputs}",
        relation="==",
        left=np.sqrt(squared_norm(gradient)),
        right=np.zeros(len(gradient)),
        scale=operator_norm(minimum.X) * np.sqrt(squared_norm(minimum.t)),
    )


def minimum_stays_minimum(minimum: Minimum, inputs: str) -> Statement:
    """The Hessian of the normalized loss in w has no negative eigenvalue at w*.

    Zero is one of its eigenvalues: the loss does not change along w* itself.
    """
    problem = minimum.problem()
    curvature = layer.weight_hessian(problem.bn_loss, minimum.X, minimum.w)
    eigenvalues = np.linalg.eigvalsh(curvature)
    normal = layer.weight_hessian(problem.loss, minimum.X, minimum.w)
    return Statement(
        name=NAME,
        form=f"minima stay minima (Hessian), {inputs}",
        relation="<=",
        left=-eigenvalues[:, 0],
        right=np.zeros(len(eigenvalues)),
        scale=np.abs(np.linalg.eigvalsh(normal)).max(axis=-1),
    )
