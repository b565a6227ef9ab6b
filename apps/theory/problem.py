"""One unit of a network, without and with batch normalization (Figure 5)."""

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from keras import ops

from apps.theory import derivatives as autodiff
from apps.theory.batch_norm import Statistics, batch_norm, statistics


class Eigen(NamedTuple):
    """Eigenvalues ``[n, m]``, ascending, and eigenvectors, columns of ``[n, m, m]``."""

    values: np.ndarray
    vectors: np.ndarray


@dataclasses.dataclass(frozen=True)
class Unit:
    """n instances of the outputs of a unit over a batch, and their normalization.

    Attributes:
        y: outputs over a batch of m, ``[n, m]`` (or ``[m]``, n = 1).
        gamma: ``[n]`` (or one number for all).
        beta: ``[n]`` (or one number for all).
        epsilon: added to the variance; 0 in the paper.
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
    def statistics(self) -> Statistics:
        """Mean, sigma_j and y_hat_j."""
        return statistics(self.y, self.epsilon)

    @property
    def sigma(self) -> np.ndarray:
        """sigma_j ``[n]``."""
        return self.statistics.sigma

    @property
    def y_hat(self) -> np.ndarray:
        """The whitened outputs y_hat_j ``[n, m]``."""
        return self.statistics.y_hat

    @property
    def ratio(self) -> np.ndarray:
        """gamma^2 / sigma_j^2 ``[n]``."""
        return (self.gamma / self.sigma) ** 2

    @cached_property
    def z(self) -> np.ndarray:
        """Outputs after batch normalization, ``[n, m]``."""
        return self.gamma[:, None] * self.y_hat + self.beta[:, None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredUnit(Unit):
    """Units of a trained network, the derivatives of whose loss were measured.

    Attributes:
        g: dL/dz ``[n, m]``.
        bn_gradient: dL_hat/dy ``[n, m]``.
    """

    g: np.ndarray
    bn_gradient: np.ndarray


@dataclasses.dataclass(frozen=True)
class Problem(Unit):
    r"""n independent instances of the setup of Section 4.1, with the loss known.

    The normal network has the loss ``L(y)``, the batch-normalized one
    ``L_hat(y) = L(z)``, ``z = gamma * y_hat + beta``: the same L. Every derivative
    below is found by automatic differentiation in float64, those of L_hat through
    the batch normalization itself, so that the formulas of the paper can be checked
    against them.

    Attributes:
        loss: L, a function of `keras.ops` from ``[n, m]`` to ``[n]``, value i
            depending on row i alone.

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
        return autodiff.gradient(self.loss, self.z)

    @cached_property
    def H(self) -> np.ndarray:
        """H_jj of the paper: d2L/dz dz at z = BN(y), ``[n, m, m]``."""
        return autodiff.hessian(self.loss, self.z)

    @cached_property
    def g_normal(self) -> np.ndarray:
        """dL/dy of the normal network at its own outputs y, ``[n, m]``."""
        return autodiff.gradient(self.loss, self.y)

    @cached_property
    def bn_gradient(self) -> np.ndarray:
        """dL_hat/dy, through the batch normalization, ``[n, m]``."""
        return autodiff.gradient(self.bn_loss, self.y)

    @cached_property
    def bn_hessian(self) -> np.ndarray:
        """d2L_hat/dy dy, through the batch normalization, ``[n, m, m]``."""
        return autodiff.hessian(self.bn_loss, self.y)

    @cached_property
    def eigen(self) -> Eigen:
        """Eigenvalues and eigenvectors of H_jj."""
        return Eigen(*np.linalg.eigh(self.H))

    @cached_property
    def bn_eigen(self) -> Eigen:
        """Eigenvalues and eigenvectors of d2L_hat/dy dy."""
        return Eigen(*np.linalg.eigh(self.bn_hessian))
