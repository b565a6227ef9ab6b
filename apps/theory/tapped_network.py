"""A float64 copy of a network with shifts before and after its normalizations."""

import keras
import numpy as np
from keras import ops

from keras_bnsmooth.autodiff.tensorflow import twice_differentiable

DTYPE = "float64"


class TappedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization z = BN(y + a) + b that stores y + a.

    The gradient with respect to the shift a at 0 is the gradient with respect to y,
    and that with respect to b is the gradient with respect to z.

    Attributes:
        input_shift: a, or None for 0.
        output_shift: b, or None for 0.
        seen: Input of the last call, y + a.
    """

    input_shift = None
    output_shift = None
    seen = None

    def call(self, inputs, training=None, mask=None):
        """Returns BN(inputs + input_shift) + output_shift."""
        if self.input_shift is not None:
            inputs = inputs + self.input_shift
        self.seen = inputs
        outputs = super().call(inputs, training=training, mask=mask)
        return outputs if self.output_shift is None else outputs + self.output_shift

    def units(self, array) -> np.ndarray:
        """Reshapes an array like the inputs to one row per channel, ``[C, m]``."""
        channels_first = np.moveaxis(np.asarray(array), self.axis, 0)
        return channels_first.reshape(len(channels_first), -1)

    def channels(self, rows: np.ndarray, which: int) -> np.ndarray:
        """Inverts `units` for one row; all other channels are 0."""
        shape = np.moveaxis(np.empty(self.seen.shape), self.axis, 0).shape
        array = np.zeros(shape)
        array[which] = rows.reshape(shape[1:])
        return np.moveaxis(array, 0, self.axis)


class TappedNetwork:
    """The loss of a trained network on one batch, in training mode.

    Args:
        model: A functional or sequential `keras.Model`, compiled with its loss. It is
            copied, not changed.
        x: Inputs of the batch.
        y: Targets of the batch.

    Attributes:
        normalizations: The copy's batch normalization layers, in order.

    Raises:
        ValueError: The model has no batch normalization layer or no loss, is not
            made of layers, or is random in training mode.
    """

    def __init__(self, model, x, y):
        if model.loss is None:
            raise ValueError(
                f"model {model.name} is not compiled with a loss; compile it first."
            )
        self._x, self._y = x, y
        self._network = keras.models.clone_model(
            model, clone_function=_in_float64, recursive=True
        )
        self._network.set_weights(model.get_weights())
        self._loss = _loss_in_float64(model.loss)
        self.normalizations = [
            layer
            for layer in self._network._flatten_layers()
            if isinstance(layer, TappedBatchNormalization)
        ]
        if not self.normalizations:
            raise ValueError(
                f"model {model.name} has no BatchNormalization layer; the theorems "
                "need at least one."
            )
        if float(self.loss({}, {})) != float(self.loss({}, {})):
            raise ValueError(
                f"model {model.name} is random in training mode: the same batch gave "
                "two different losses. Remove dropout and noise."
            )

    def loss(self, input_shifts: dict, output_shifts: dict):
        """Computes the loss with shifts ``{layer's index: array}``, differentiable."""
        for i, layer in enumerate(self.normalizations):
            layer.input_shift = input_shifts.get(i)
            layer.output_shift = output_shifts.get(i)
        with twice_differentiable():
            return self._loss(self._y, self._network(self._x, training=True))


def _in_float64(layer):
    config = {**layer.get_config(), "dtype": DTYPE}
    # A subclass may be another normalization, or add noise.
    if type(layer) is keras.layers.BatchNormalization:
        return TappedBatchNormalization.from_config(config)
    return type(layer).from_config(config)


def _loss_in_float64(loss):
    loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        return type(loss).from_config({**loss.get_config(), "dtype": DTYPE})
    return lambda y_true, y_pred: ops.mean(loss(y_true, y_pred))
