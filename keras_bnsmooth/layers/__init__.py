"""Normalization and noise layers of Santurkar et al. (2018)."""

from keras_bnsmooth.layers.lp_normalization import LpNormalization
from keras_bnsmooth.layers.noise import ActivationNoise
from keras_bnsmooth.layers.noisy_batch_normalization import NoisyBatchNormalization

__all__ = ["ActivationNoise", "LpNormalization", "NoisyBatchNormalization"]
