"""Per-channel statistics, and per-channel values applied to a whole tensor.

A channel is one index along `axis`; its statistics are taken over all other axes. The
functions expect a non-negative `axis`.

With `synchronized`, statistics are those of the global batch of a
`tf.distribute.Strategy`. On the other backends this changes nothing: on JAX, one
program computes the statistics of the whole batch under `keras.distribution`, and on
torch there is one device.
"""

import math

import keras
from keras import ops


def upcast_half(x):
    """Casts half precision, which lacks digits and range for statistics, to float32.

    Float64 is kept; `keras.backend.result_type` would lose it on torch.
    """
    is_double = keras.backend.standardize_dtype(x.dtype) == "float64"
    return ops.cast(x, "float64" if is_double else "float32")


def broadcast_channels(values, x, axis):
    """Reshapes one value per channel so that it broadcasts against `x`.

    The values are repeated over all axes but the first: on a CPU, broadcasting a long
    row over the batch is about twice as fast as broadcasting a few channels over every
    position.

    Args:
        values: Tensor of shape `(channels,)`.
        x: Tensor of rank 2 or more.
        axis: Channel axis of `x`.

    Returns:
        Tensor of shape `x.shape[1:]`, or `(channels, 1, ...)` for `axis=0`.
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
    """Computes the mean of each channel over the elements that `mask` selects.

    Args:
        x: Tensor of rank 2 or more.
        axis: Channel axis of `x`.
        mask: `None`, or a float tensor of zeros and ones that broadcasts against `x`.
        synchronized: Whether to include the batches of all replicas.

    Returns:
        Tensor of shape `(channels,)`; 0 where the mask selects nothing.
    """
    context = replica_context() if synchronized else None

    def total(x):
        return x if context is None else context.all_reduce("SUM", x)

    if mask is None:
        shape = ops.shape(x)
        count = total(ops.cast(math.prod(shape) // shape[axis], x.dtype))
        return total(_sum_of_ratios(x, axis, count))
    mask = ops.broadcast_to(mask, ops.shape(x))
    count = ops.maximum(total(_reduce(ops.sum, mask, axis)), 1)
    # `where` instead of a product, because masked elements may be NaN.
    return total(_sum_of_ratios(ops.where(mask > 0, x, 0), axis, count))


def _sum_of_ratios(x, axis, count):
    """Sum of `x / count` per channel; `count` is one number or one per channel.

    Dividing each element would take another pass over `x`; dividing the sum over all,
    it would overflow too soon. So divides the sums over the batch.
    """
    if axis == 0 or len(x.shape) == 2:
        return _reduce(ops.sum, x, axis) / count
    sums = ops.moveaxis(ops.sum(x, axis=0), axis - 1, -1)
    return ops.sum(sums / count, axis=list(range(len(sums.shape) - 1)))


def max_abs_per_channel(x, axis, mask=None, synchronized=False):
    """Computes the largest absolute value of each channel where `mask` selects.

    The gradient flows to the element that attains it (in case of ties, to one or some
    of them). Differentiating the maximum of the whole tensor would take many passes
    over it. We therefore first find, without a gradient, the position that holds the
    maximum, and then differentiate only the maximum over the batch at that position.

    Args:
        x: Tensor of rank 2 or more.
        axis: Channel axis of `x`.
        mask: `None`, or a float tensor of zeros and ones that broadcasts against `x`.
        synchronized: Whether to include the batches of all replicas.

    Returns:
        Tensor of shape `(channels,)`; 0 where the mask selects nothing.
    """
    if mask is not None:
        x = ops.where(mask > 0, x, 0)
    if 0 in x.shape:
        # Nothing has no maximum. NaN, as the mean has in an empty batch.
        largest = mean_per_channel(ops.abs(x), axis, mask)
    elif axis == 0 or len(x.shape) == 2:
        largest = _reduce(ops.max, ops.abs(x), axis)
    else:
        largest = ops.max(ops.abs(_values_at_largest_position(x, axis)), axis=0)
    context = replica_context() if synchronized else None
    if context is None:
        return largest
    return ops.max(context.all_gather(ops.expand_dims(largest, 0), axis=0), axis=0)


def _values_at_largest_position(x, axis):
    """Values over the batch where each channel is largest: [batch, channels]."""
    largest = ops.max(ops.abs(ops.stop_gradient(x)), axis=0)
    batch, *shape = ops.shape(x)
    size = math.prod(shape)
    positions = ops.reshape(ops.arange(size, dtype="int32"), shape)

    def by_channel(values):
        values = ops.moveaxis(values, axis - 1, -1)
        return ops.reshape(values, (-1, x.shape[axis]))

    row = ops.argmax(by_channel(largest), axis=0, keepdims=True)
    position = ops.take_along_axis(by_channel(positions), row, axis=0)
    samples = ops.expand_dims(ops.arange(batch, dtype="int32"), -1)
    return ops.take(ops.reshape(x, (-1,)), samples * size + position, axis=0)


def replica_context():
    """Context of this replica if there are several, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    several = context is not None and context.num_replicas_in_sync > 1
    return context if several else None


def _reduce(reduction, x, axis):
    """Reduces every axis but `axis`."""
    return reduction(x, axis=[i for i in range(len(x.shape)) if i != axis])
