"""The layers in float64 NumPy, channels last, written from their definitions."""

import numpy as np


def p_norm(x, p):
    if p == np.inf:
        return np.abs(x).max(axis=0)
    return np.mean(np.abs(x) ** p, axis=0) ** (1 / p)


def statistics(x, p, centered, mask=None):
    """Mean and average p-norm of each channel, over the positions of the mask."""
    samples = x.reshape(-1, x.shape[-1])
    if mask is not None:
        samples = samples[np.asarray(mask, bool).reshape(-1)]
    mean = samples.mean(axis=0)
    return mean, p_norm(samples - mean if centered else samples, p)


def normalize(x, mean, norm, epsilon, gamma=1.0, beta=0.0):
    return gamma * (x - mean) / np.sqrt(norm**2 + epsilon) + beta
