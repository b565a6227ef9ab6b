"""Probes and layers that show how batch normalization smooths the loss landscape.

After "How Does Batch Normalization Help Optimization?" (Santurkar et al., 2018), for
any Keras model. Importing the package registers its layers with Keras, so that saved
models load.

Data flows one way through the modules:

    models (with layers) -> callbacks -> probes -> autodiff
                                |
                            records -> plots
"""

from keras_bnsmooth import backend

backend.check()

from keras_bnsmooth import callbacks, layers, models, plots, probes
from keras_bnsmooth.callbacks import (
    ActivationProbe,
    AtSteps,
    EveryN,
    GradientNoiseProbe,
    ICSProbe,
    LandscapeProbe,
    LayerScaleProbe,
    LogSpaced,
    ProbeCallback,
    SharpnessProbe,
    SpectrumProbe,
    Successive,
    TrajectoryProbe,
    UpdateProbe,
)
from keras_bnsmooth.layers import (
    ActivationNoise,
    LpNormalization,
    NoisyBatchNormalization,
)
from keras_bnsmooth.moving_statistics import recompute_moving_statistics

__version__ = "0.1.0"

__all__ = [
    "ActivationNoise",
    "ActivationProbe",
    "AtSteps",
    "EveryN",
    "GradientNoiseProbe",
    "ICSProbe",
    "LandscapeProbe",
    "LayerScaleProbe",
    "LogSpaced",
    "LpNormalization",
    "NoisyBatchNormalization",
    "ProbeCallback",
    "SharpnessProbe",
    "SpectrumProbe",
    "Successive",
    "TrajectoryProbe",
    "UpdateProbe",
    "callbacks",
    "layers",
    "models",
    "plots",
    "probes",
    "recompute_moving_statistics",
]
