"""The paper's two networks, as plain functional Keras models."""

from keras_bnsmooth.models.deep_linear_network import dln
from keras_bnsmooth.models.norms import NORMS
from keras_bnsmooth.models.squared_error import SquaredError
from keras_bnsmooth.models.vgg_network import vgg

__all__ = ["NORMS", "SquaredError", "dln", "vgg"]
