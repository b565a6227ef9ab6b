"""One unit of a network, without and with batch normalization (Figure 5)."""

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from keras import ops

from apps.theory import derivatives
from apps.theory.linear_algebra import dot, quadratic_form, squared_norm


def batch_norm(y, gamma, beta, epsilon=0.0):
    r"""Computes z = gamma * y_hat + beta, differentiable (Section 4.1).

    ``y_hat = (y - mu) / sigma``, ``mu = mean(y)``,
    ``sigma = sqrt(mean((y - mu)^2) + epsilon)``, over the last axis of y ``[n, m]``;
    gamma and beta are ``[n]``. epsilon is 0 in the paper and 1e-3 in Keras. This is
    the plain composition: no formula for a derivative is used.
    """
    centred = y - ops.mean(y, axis=-1, keepdims=True)
    variance = ops.mean(centred * centred, axis=-1, keepdims=True)
    y_hat = centred / ops.sqrt(variance + epsilon)
    return gamma[:, None] * y_hat + beta[:, None]


class Eigen(NamedTuple):
    """Eigenvalues ``[n, m]``, ascending, and eigenvectors, columns of ``[n, m, m]``."""

    values: np.ndarray
    vectors: np.ndarray


@dataclasses.dataclass(frozen=True)
class Unit:
    """Outputs of n units over a batch of m, and their normalization.

    Subclasses have the gradients g = dL/dz and bn_gradient = dL_hat/dy ``[n, m]``.

    Attributes:
        y: Outputs ``[n, m]`` (or ``[m]``, n = 1).
        gamma: ``[n]`` (or one number for all).
        beta: ``[n]`` (or one number for all).
        epsilon: Added to the variance; 0 in the paper.

    Raises:
        ValueError: y is not ``[m]`` or ``[n, m]``, or is constant over the batch.
    """

    y: np.ndarray
    gamma: np.ndarray = 1.0
    beta: np.ndarray = 0.0
    epsilon: float = 0.0

    def __post_init__(self):
        y = np.atleast_2d(np.asarray(self.y, dtype=np.float64))
        if y.ndim != 2:
            raise ValueError(f"y must be [m] or [n, m]; received shape {y.shape}.")
        if np.any(y.var(axis=-1) + self.epsilon == 0):
            raise ValueError(
                "y must vary over the batch: with sigma = 0 it cannot be normalized."
            )
        object.__setattr__(self, "y", y)
        for name in ("gamma", "beta"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            object.__setattr__(self, name, np.broadcast_to(value, y.shape[:1]))

    @property
    def m(self) -> int:
        """Batch size."""
        return self.y.shape[-1]

    @cached_property
    def mean(self) -> np.ndarray:
        """mu_j ``[n]``."""
        return self.y.mean(axis=-1)

    @cached_property
    def sigma(self) -> np.ndarray:
        """sigma_j ``[n]``."""
        return np.sqrt(self.y.var(axis=-1) + self.epsilon)

    @cached_property
    def y_hat(self) -> np.ndarray:
        """The whitened outputs y_hat_j ``[n, m]``."""
        return (self.y - self.mean[:, None]) / self.sigma[:, None]

    @property
    def s(self) -> np.ndarray:
        """|y_hat|^2 / m: 1 in the paper, variance / (variance + epsilon) in Keras."""
        return squared_norm(self.y_hat) / self.m

    @property
    def ratio(self) -> np.ndarray:
        """gamma^2 / sigma_j^2 ``[n]``."""
        return (self.gamma / self.sigma) ** 2

    @cached_property
    def z(self) -> np.ndarray:
        """Outputs after batch normalization, ``[n, m]``."""
        return self.gamma[:, None] * self.y_hat + self.beta[:, None]

    @property
    def inner(self) -> np.ndarray:
        """<g, y_hat> ``[n]``."""
        return dot(self.g, self.y_hat)

    @property
    def g_squared(self) -> np.ndarray:
        """|g|^2 ``[n]``."""
        return squared_norm(self.g)

    @property
    def v_squared(self) -> np.ndarray:
        """|v|^2 ``[n]``, with v = dL_hat/dy."""
        return squared_norm(self.bn_gradient)

    @property
    def projected_gradient(self) -> np.ndarray:
        """Q v: v without its mean and its component along y_hat (v if epsilon = 0)."""
        v, y_hat = self.bn_gradient, self.y_hat
        along_y_hat = y_hat * dot(y_hat, v)[:, None] / self.m
        return v - v.mean(axis=-1, keepdims=True) - along_y_hat


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredUnit(Unit):
    """Units of a trained network whose loss gradients were measured.

    Attributes:
        g: dL/dz ``[n, m]``.
        bn_gradient: dL_hat/dy ``[n, m]``.
    """

    g: np.ndarray
    bn_gradient: np.ndarray

    def take(self, indices) -> "MeasuredUnit":
        """Returns the units with these indices."""
        names = ("y", "gamma", "beta", "g", "bn_gradient")
        taken = {name: getattr(self, name)[indices] for name in names}
        return MeasuredUnit(epsilon=self.epsilon, **taken)


@dataclasses.dataclass(frozen=True)
class Problem(Unit):
    r"""n independent instances of the setup of Section 4.1, with a known loss.

    The normal network has the loss ``L(y)``, the batch-normalized one
    ``L_hat(y) = L(z)``, ``z = gamma * y_hat + beta``, with the same L. All derivatives
    are computed by automatic differentiation in float64, those of L_hat through the
    batch normalization itself, so that the paper's formulas can be checked against
    them.

    Attributes:
        loss: L, a function of `keras.ops` from ``[n, m]`` to ``[n]``; value i depends
            on row i alone.

    Example:
        >>> from keras import ops
        >>> problem = Problem(y=[1.0, 2.0, 4.0], loss=lambda u: ops.sum(ops.sin(u), -1))
        >>> problem.bn_gradient.shape
        (1, 3)
    """

    loss: Callable = dataclasses.field(kw_only=True)

    def bn(self, y):
        """The batch normalization y -> z, differentiable."""
        return batch_norm(y, self.gamma, self.beta, self.epsilon)

    def bn_loss(self, y):
        """L_hat(y) = L(BN(y)), differentiable."""
        return self.loss(self.bn(ops.convert_to_tensor(y)))

    @cached_property
    def g(self) -> np.ndarray:
        """g_hat_j of the paper: dL/dz at z = BN(y), ``[n, m]``."""
        return derivatives.gradient(self.loss, self.z)

    @cached_property
    def H(self) -> np.ndarray:
        """H_jj of the paper: d2L/dz dz at z = BN(y), ``[n, m, m]``."""
        return derivatives.hessian(self.loss, self.z)

    @cached_property
    def g_normal(self) -> np.ndarray:
        """dL/dy of the normal network at its own outputs y, ``[n, m]``."""
        return derivatives.gradient(self.loss, self.y)

    @cached_property
    def bn_gradient(self) -> np.ndarray:
        """Gradient v = dL_hat/dy, through the batch normalization, ``[n, m]``."""
        return derivatives.gradient(self.bn_loss, self.y)

    @cached_property
    def bn_hessian(self) -> np.ndarray:
        """H_hat = d2L_hat/dy dy, through the batch normalization, ``[n, m, m]``."""
        return derivatives.hessian(self.bn_loss, self.y)

    @cached_property
    def along_g(self) -> np.ndarray:
        """g^T H g ``[n]``."""
        return quadratic_form(self.H, self.g)

    @cached_property
    def along_v(self) -> np.ndarray:
        """v^T H v ``[n]``."""
        return quadratic_form(self.H, self.bn_gradient)

    @cached_property
    def bn_along_v(self) -> np.ndarray:
        """v^T H_hat v ``[n]``."""
        return quadratic_form(self.bn_hessian, self.bn_gradient)

    @cached_property
    def eigen(self) -> Eigen:
        """Eigenvalues and eigenvectors of H_jj."""
        return Eigen(*np.linalg.eigh(self.H))

    @cached_property
    def bn_eigen(self) -> Eigen:
        """Eigenvalues and eigenvectors of H_hat."""
        return Eigen(*np.linalg.eigh(self.bn_hessian))
