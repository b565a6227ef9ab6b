"""Figures of what the probes recorded; they need `keras-bnsmooth[plots]`."""

from keras_bnsmooth.plots.probe_figures import (
    activations,
    contour,
    covariate_shift,
    gradient_noise,
    landscape,
    layer_scales,
    profile,
    sharpness,
    spectrum,
    surface_3d,
    trajectory,
)

__all__ = [
    "activations",
    "contour",
    "covariate_shift",
    "gradient_noise",
    "landscape",
    "layer_scales",
    "profile",
    "sharpness",
    "spectrum",
    "surface_3d",
    "trajectory",
]
