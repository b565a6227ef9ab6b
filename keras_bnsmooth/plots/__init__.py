"""Figures of what the probes recorded; they need `keras-bnsmooth[plots]`."""

from keras_bnsmooth.plots.probe_figures import (
    activations,
    covariate_shift,
    gradient_noise,
    landscape,
    layer_scales,
    sharpness,
    spectrum,
)

__all__ = [
    "activations",
    "covariate_shift",
    "gradient_noise",
    "landscape",
    "layer_scales",
    "sharpness",
    "spectrum",
]
