"""Sums and maxima over the replicas of a `tf.distribute.Strategy`.

Elsewhere there is nothing to do: under `keras.distribution` on JAX one program sees
the whole batch, and statistics are over all of it, and on torch there is one device.
"""

import keras
from keras import ops


def sum_over_replicas(x):
    """Returns the sum of `x` over the replicas; its gradient flows to all of them."""
    context = _replica_context()
    return x if context is None else context.all_reduce("SUM", x)


def max_over_replicas(x):
    """Returns the maximum of `x`, of rank 1, over the replicas, likewise."""
    context = _replica_context()
    if context is None:
        return x
    gathered = context.all_gather(ops.expand_dims(x, 0), axis=0)
    return ops.max(gathered, axis=0)


def _replica_context():
    """The context of this replica where there are others, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    several = context is not None and context.num_replicas_in_sync > 1
    return context if several else None
