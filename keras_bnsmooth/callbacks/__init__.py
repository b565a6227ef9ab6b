"""Callbacks that run probes during `model.fit` and record what they measure."""

from keras_bnsmooth.callbacks.activation_probe import ActivationProbe
from keras_bnsmooth.callbacks.gradient_noise_probe import GradientNoiseProbe
from keras_bnsmooth.callbacks.ics_probe import ICSProbe
from keras_bnsmooth.callbacks.landscape_probe import LandscapeProbe
from keras_bnsmooth.callbacks.layer_scale_probe import LayerScaleProbe
from keras_bnsmooth.callbacks.probe_callback import ProbeCallback
from keras_bnsmooth.callbacks.schedules import AtSteps, EveryN, LogSpaced, Successive
from keras_bnsmooth.callbacks.sharpness_probe import SharpnessProbe
from keras_bnsmooth.callbacks.spectrum_probe import SpectrumProbe
from keras_bnsmooth.callbacks.trajectory_probe import TrajectoryProbe
from keras_bnsmooth.callbacks.update_probe import UpdateProbe

__all__ = [
    "ActivationProbe",
    "AtSteps",
    "EveryN",
    "GradientNoiseProbe",
    "ICSProbe",
    "LandscapeProbe",
    "LayerScaleProbe",
    "LogSpaced",
    "ProbeCallback",
    "SharpnessProbe",
    "SpectrumProbe",
    "Successive",
    "TrajectoryProbe",
    "UpdateProbe",
]
