"""Batch normalization of one unit, written as the composition it is.

Setup of Section 4.1: the m outputs y of one unit over a batch are whitened to
y_hat and scaled to z. Nothing here uses a formula for a derivative.
"""

from typing import NamedTuple

import numpy as np
from keras import ops


def batch_norm(y, gamma, beta, epsilon=0.0):
    r"""Normalizes y: z = gamma * y_hat + beta, differentiable (Section 4.1).

    ``y_hat = (y - mu) / sigma``, ``mu = mean(y)``,
    ``sigma = sqrt(mean((y - mu)^2) + epsilon)``, over the last axis of y
    ``[n, m]``; gamma and beta are ``[n]``. The paper has epsilon = 0, Keras 1e-3.
    """
    centred = y - ops.mean(y, axis=-1, keepdims=True)
    variance = ops.mean(centred * centred, axis=-1, keepdims=True)
    y_hat = centred / ops.sqrt(variance + epsilon)
    return gamma[:, None] * y_hat + beta[:, None]


class Statistics(NamedTuple):
    """What batch normalization computes from y: arrays ``[n]``, y_hat ``[n, m]``."""

    mean: np.ndarray
    sigma: np.ndarray
    y_hat: np.ndarray


def statistics(y: np.ndarray, epsilon: float = 0.0) -> Statistics:
    """Mean, sigma and y_hat of each row of y, in NumPy."""
    mean = y.mean(axis=-1)
    sigma = np.sqrt(y.var(axis=-1) + epsilon)
    return Statistics(mean, sigma, (y - mean[:, None]) / sigma[:, None])
