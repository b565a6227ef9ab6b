"""Statistics per channel, and per-channel numbers applied to the whole tensor.

A channel is one index along `axis`; its statistics run over all other axes. The
functions take `axis` counted from the front.
"""

from keras import ops


def spread(values, x, axis):
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


def mean_per_channel(x, axis, mask=None):
    """Mean of each channel over the elements that `mask` selects.

    Args:
        x: Tensor of rank 2 or more.
        axis: Channel axis of `x`.
        mask: `None`, or a float tensor of zeros and ones that broadcasts against `x`.

    Returns:
        Tensor of shape `(channels,)`; 0 where the mask selects nothing.
    """
    if mask is None:
        size = 1
        for length in ops.shape(x):
            size = size * length
        count = ops.cast(size // ops.shape(x)[axis], x.dtype)
        return _reduce(ops.sum, x, axis) / count
    mask = ops.broadcast_to(mask, ops.shape(x))
    # `where`, not a product, so that what is masked may even be NaN.
    total = _reduce(ops.sum, ops.where(mask > 0, x, 0), axis)
    return total / ops.maximum(_reduce(ops.sum, mask, axis), 1)


def max_per_channel(x, axis, mask=None):
    """Largest element of each channel; `x` holds no negative number.

    Args:
        x: Tensor of rank 2 or more, non-negative.
        axis: Channel axis of `x`.
        mask: `None`, or a float tensor of zeros and ones that broadcasts against `x`.

    Returns:
        Tensor of shape `(channels,)`; 0 where the mask selects nothing.
    """
    if mask is not None:
        x = ops.where(mask > 0, x, 0)
    return _reduce(ops.max, x, axis)


def _reduce(reduction, x, axis):
    """Reduces every axis but `axis`, the batch first: long rows are fast on a CPU."""
    if axis > 0:
        x = reduction(x, axis=0)
        axis -= 1
    others = [i for i in range(len(x.shape)) if i != axis]
    return reduction(x, axis=others) if others else x
