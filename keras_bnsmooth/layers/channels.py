"""Statistics per channel, and per-channel numbers applied to the whole tensor.

A channel is one index along `axis`; its statistics run over all other axes. The
functions take `axis` counted from the front. With `synchronized` the batch is that of
all replicas together, see `replicas`.
"""

import keras
from keras import ops

from keras_bnsmooth.layers.replicas import max_over_replicas, sum_over_replicas


def upcast_half(x):
    """Casts half precision, which has too few digits and too little range, to single.

    Double precision stays: `keras.backend.result_type` would lose it on torch.
    """
    is_double = keras.backend.standardize_dtype(x.dtype) == "float64"
    return ops.cast(x, "float64" if is_double else "float32")


def broadcast_channels(values, x, axis):
    """Lays out one value per channel so that it broadcasts against `x`.

    The values are repeated over all axes but the first: broadcasting a long row over
    the batch runs about twice as fast on a CPU as broadcasting a few channels over
    every position.

    Args:
        values: Tensor of shape `(channels,)`.
        x: Tensor of rank 2 or more.
        axis: Channel axis of `x`.

    Returns:
        Tensor of shape `x.shape[1:]`, or `(channels, 1, ...)` for `axis` 0.
    """
    rank = len(x.shape)
    if rank == 2 and axis == 1:
        return values
    if axis == 0:
        return ops.reshape(values, (-1,) + (1,) * (rank - 1))
    shape = [1] * (rank - 1)
    shape[axis - 1] = -1
    return ops.broadcast_to(ops.reshape(values, shape), ops.shape(x)[1:])


def mean_per_channel(x, axis, mask=None, synchronized=False):
    """Mean of each channel over the elements that `mask` selects.

    Args:
        x: Tensor of rank 2 or more.
        axis: Channel axis of `x`.
        mask: `None`, or a float tensor of zeros and ones that broadcasts against `x`.
        synchronized: Whether the mean is over the batches of all replicas.

    Returns:
        Tensor of shape `(channels,)`; 0 where the mask selects nothing.
    """
    over_replicas = sum_over_replicas if synchronized else (lambda x: x)
    if mask is None:
        total, count = _reduce(ops.sum, x, axis), _elements_per_channel(x, axis)
        return over_replicas(total) / over_replicas(count)
    mask = ops.broadcast_to(mask, ops.shape(x))
    # `where`, not a product, so that what is masked may even be NaN.
    total = over_replicas(_reduce(ops.sum, ops.where(mask > 0, x, 0), axis))
    return total / ops.maximum(over_replicas(_reduce(ops.sum, mask, axis)), 1)


def moments_per_channel(x, axis, mask=None, synchronized=False):
    """Mean and variance of each channel over the elements that `mask` selects.

    Args:
        x: Tensor of rank 2 or more.
        axis: Channel axis of `x`.
        mask: `None`, or a float tensor of zeros and ones that broadcasts against `x`.
        synchronized: Whether they are over the batches of all replicas.

    Returns:
        Tuple of two tensors of shape `(channels,)`.
    """

    def moments(x):
        mean = mean_per_channel(x, axis, mask, synchronized)
        deviation = x - broadcast_channels(mean, x, axis)
        variance = mean_per_channel(ops.square(deviation), axis, mask, synchronized)
        return mean, variance, deviation

    if mask is not None or synchronized or not _short_gradients_pay():
        return moments(x)[:2]

    # Higher derivatives follow, as `deviation` depends on `x`.
    @ops.custom_gradient
    def moments_with_short_gradient(x):
        mean, variance, deviation = moments(x)
        count = _elements_per_channel(x, axis)

        def gradient(d_mean, d_variance):
            return deviation * broadcast_channels(
                d_variance * (2 / count), x, axis
            ) + broadcast_channels(d_mean / count, x, axis)

        return (mean, variance), gradient

    return moments_with_short_gradient(x)


def max_abs_per_channel(x, axis, mask=None, synchronized=False):
    """Largest absolute value of each channel over the elements that `mask` selects.

    The gradient goes to the element that attains it (to one or some of them, where
    several do). Differentiating the maximum of the whole tensor would pass over that
    tensor many times, so we first look, without a gradient, for the position that
    holds the maximum, and then differentiate the maximum over the batch there alone.

    Args:
        x: Tensor of rank 2 or more.
        axis: Channel axis of `x`.
        mask: `None`, or a float tensor of zeros and ones that broadcasts against `x`.
        synchronized: Whether it is the largest of all replicas.

    Returns:
        Tensor of shape `(channels,)`; 0 where the mask selects nothing.
    """
    if mask is not None:
        x = ops.where(mask > 0, x, 0)
    largest = _max_abs_per_channel(x, axis)
    return max_over_replicas(largest) if synchronized else largest


def _max_abs_per_channel(x, axis):
    if axis == 0 or len(x.shape) == 2:
        return _reduce(ops.max, ops.abs(x), axis)

    largest = ops.max(ops.abs(ops.stop_gradient(x)), axis=0)
    batch, *shape = ops.shape(x)
    size = number_of_elements(shape)
    positions = ops.reshape(ops.arange(size, dtype="int32"), shape)

    def by_channel(values):
        values = ops.moveaxis(values, axis - 1, -1)
        return ops.reshape(values, (-1, x.shape[axis]))

    row = ops.argmax(by_channel(largest), axis=0, keepdims=True)
    position = ops.take_along_axis(by_channel(positions), row, axis=0)
    samples = ops.expand_dims(ops.arange(batch, dtype="int32"), -1)
    candidates = ops.take(ops.reshape(x, (-1,)), samples * size + position, axis=0)
    return ops.max(ops.abs(candidates), axis=0)


def number_of_elements(shape):
    """Product of sizes of which some may be known at run time only."""
    size = 1
    for length in shape:
        size = size * length
    return size


def _short_gradients_pay():
    """TensorFlow runs a gradient one operation at a time, and we save it some."""
    return keras.backend.backend() == "tensorflow"


def _elements_per_channel(x, axis):
    shape = ops.shape(x)
    return ops.cast(number_of_elements(shape) // shape[axis], x.dtype)


def _reduce(reduction, x, axis):
    """Reduces every axis but `axis`."""
    return reduction(x, axis=[i for i in range(len(x.shape)) if i != axis])
