"""The quantities of the paper, each a pure function of a model and a batch.

A probe leaves the model as it is: weights, moving statistics, seeds, metrics and
optimizer state are the same afterwards. It opens no file and keeps no state.
"""

from keras_bnsmooth.probes.activations import activations
from keras_bnsmooth.probes.critical_learning_rate import critical_learning_rate
from keras_bnsmooth.probes.gradient_noise import GradientNoise, gradient_noise
from keras_bnsmooth.probes.internal_covariate_shift import (
    InternalCovariateShift,
    internal_covariate_shift,
)
from keras_bnsmooth.probes.landscape import Landscape, landscape
from keras_bnsmooth.probes.layer_scales import LayerScales, layer_scales
from keras_bnsmooth.probes.loss_surface import LossSurface, loss_surface
from keras_bnsmooth.probes.sharpness import Sharpness, sharpness
from keras_bnsmooth.probes.spectrum import Spectrum, spectrum

__all__ = [
    "GradientNoise",
    "InternalCovariateShift",
    "Landscape",
    "LayerScales",
    "LossSurface",
    "Sharpness",
    "Spectrum",
    "activations",
    "critical_learning_rate",
    "gradient_noise",
    "internal_covariate_shift",
    "landscape",
    "layer_scales",
    "loss_surface",
    "sharpness",
    "spectrum",
]
