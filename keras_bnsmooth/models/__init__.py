"""The paper's two networks as functional Keras models."""

from keras_bnsmooth.models.deep_linear_network import SquaredError, dln
from keras_bnsmooth.models.norms import NORMS
from keras_bnsmooth.models.vgg_network import vgg

__all__ = ["NORMS", "SquaredError", "dln", "vgg"]
