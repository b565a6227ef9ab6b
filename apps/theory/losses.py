"""Losses of one unit's outputs u over a batch of m, for n instances at a time.

Each is a function of `keras.ops` from ``[n, m]`` to ``[n]``; its parameters have the
leading axis n, so that every instance has its own loss.
"""

import dataclasses

import keras
import numpy as np
from keras import ops


@dataclasses.dataclass(frozen=True)
class Quadratic:
    """L(u) = 1/2 (u - t)^T A (u - t): convex, A ``[n, m, m]``, t ``[n, m]``."""

    A: np.ndarray
    t: np.ndarray

    def __call__(self, u):
        """Returns L(u) ``[n]``."""
        residual = u - self.t
        return 0.5 * ops.einsum("nb,nbc,nc->n", residual, self.A, residual)


@dataclasses.dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """Softmax cross-entropy of the classifier that follows the unit.

    For sample b, whose output of the unit is u_b, the next layer has K hidden units
    ``h = activation(a u_b + c_b)``, where ``c_b`` is the contribution of the other
    units, and the C logits are ``h V``. The loss is ``scale`` times the mean over b of
    the cross-entropy. Shapes: a ``[n, K]``, c ``[n, m, K]``, V ``[n, K, C]``, labels
    one-hot ``[n, m, C]``, scale ``[n]``.
    """

    a: np.ndarray
    c: np.ndarray
    V: np.ndarray
    labels: np.ndarray
    scale: np.ndarray
    activation: str = "relu"

    def __call__(self, u):
        """Returns L(u) ``[n]``."""
        activation = keras.activations.get(self.activation)
        hidden = activation(u[:, :, None] * self.a[:, None, :] + self.c)
        logits = ops.matmul(hidden, self.V)
        log_likelihood = ops.sum(self.labels * logits, -1) - ops.logsumexp(logits, -1)
        return -self.scale * ops.mean(log_likelihood, axis=-1)


@dataclasses.dataclass(frozen=True)
class Ridges:
    """L(u) = sum_k a_k sin(c_k^T u + p_k) + q log(1 + |u - t|^2): not convex.

    Smooth; couples all samples of the batch. Shapes: a and p ``[n, K]``,
    c ``[n, K, m]``, q ``[n]``, t ``[n, m]``.
    """

    a: np.ndarray
    c: np.ndarray
    p: np.ndarray
    q: np.ndarray
    t: np.ndarray

    def __call__(self, u):
        """Returns L(u) ``[n]``."""
        waves = ops.sin(ops.einsum("nkm,nm->nk", self.c, u) + self.p)
        residual = u - self.t
        basin = ops.log(1.0 + ops.sum(residual * residual, axis=-1))
        return ops.sum(self.a * waves, axis=-1) + self.q * basin
