"""TensorFlow implementation of the `autodiff` interface."""

import functools
import weakref

import tensorflow as tf

from keras_bnsmooth.autodiff.function_cache import cached
from keras_bnsmooth.autodiff.training_loss import (
    check_divisible,
    loss_scale,
    training_loss,
)
from keras_bnsmooth.keras_model import preserve_added_losses


def value_and_grad(
    model, weights, state, x, y, sample_weight=None, with_respect_to=None
):
    """Returns the training loss and its gradient."""
    function = cached(model, _differentiate, {}, _compile_inner)
    loss, gradient = function(list(weights), list(state), x, y, sample_weight)
    if with_respect_to is not None:
        gradient = [gradient[position] for position in with_respect_to]
    return loss, gradient


def _differentiate(model, weights, state, *batch):
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1:
        return _differentiate_on_replica(model, weights, state, *batch)
    # Keras divides means by the number of replicas, so sums over replicas give the
    # loss and gradient of the whole batch, as in training.
    with preserve_added_losses(model):
        loss, gradient = strategy.run(
            functools.partial(_differentiate_on_replica, model),
            args=(weights, state, *batch),
        )
    return (
        strategy.reduce("SUM", loss, axis=None),
        [strategy.reduce("SUM", g, axis=None) for g in gradient],
    )


def _differentiate_on_replica(model, weights, state, x, y, sample_weight):
    scale = loss_scale(model)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        loss = training_loss(model, weights, state, x, y, sample_weight)
        scaled = loss if scale is None else loss * tf.cast(scale, loss.dtype)
    gradient = tape.gradient(
        scaled, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    # Embeddings have sparse gradients.
    gradient = [tf.convert_to_tensor(g) for g in gradient]
    if scale is not None:
        gradient = [g / tf.cast(scale, g.dtype) for g in gradient]
    return loss, gradient


def shard_batch(model, tensors):
    """Distributes a batch over the replicas."""
    strategy = model.distribute_strategy
    count = strategy.num_replicas_in_sync
    if count == 1:
        return tensors

    def shard(tensor):
        if tensor is None:
            return None
        shards = tf.split(tensor, check_divisible(tensor.shape[0], count), axis=0)
        return strategy.experimental_distribute_values_from_function(
            lambda context: shards[context.replica_id_in_sync_group]
        )

    return tf.nest.map_structure(shard, tensors)


def run_on_replicas(model, function, *tensors):
    """Runs `function` on every replica and concatenates the results."""
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1:
        return function(*tensors)
    with preserve_added_losses(model):
        results = strategy.run(function, args=tensors)
    return tf.nest.map_structure(
        lambda result: tf.concat(strategy.experimental_local_results(result), axis=0),
        results,
    )


def sequential_map(function, values):
    """Maps `function` over `values` one element at a time."""
    return tf.map_fn(function, values, parallel_iterations=1)


def optimization_barrier(tensors, others):
    """Returns `tensors`, available only after `others` are computed."""
    with tf.control_dependencies(others):
        return [tf.identity(tensor) for tensor in tensors]


def compiled(model, function, **options):
    """Returns `function` of the model's current variables, compiled."""
    return cached(model, function, options, _compile_outermost)


def prefers_small_graphs(model):
    """Returns whether compile time grows faster than linearly with graph size."""
    if model.run_eagerly:
        return False
    return bool(model.jit_compile) or model.distribute_strategy.num_replicas_in_sync > 1


def _compile_outermost(model, function):
    reference = weakref.ref(model)

    def at_present_values(*arrays):
        model = reference()
        weights = [tf.convert_to_tensor(v.value) for v in model.trainable_variables]
        state = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
        return function(weights, state, *arrays)

    return _compile(model, at_present_values, jit_compile=bool(model.jit_compile))


def _compile_inner(model, function):
    # XLA compiles it along with the outermost function, or not at all.
    return _compile(model, function, jit_compile=None)


def _compile(model, function, jit_compile):
    if model.run_eagerly:
        return function
    graph = tf.function(function, autograph=False, jit_compile=jit_compile)
    # TensorFlow counts traces per line of code, so several functions that are each
    # traced once look like one function that keeps retracing.
    graph._omit_frequent_tracing_warning = True
    return graph
