"""Differentiation and compilation on TensorFlow."""

import functools
import weakref

import tensorflow as tf

from keras_bnsmooth.autodiff.function_cache import cached
from keras_bnsmooth.autodiff.shares import check_divisible
from keras_bnsmooth.autodiff.stateless import added_losses_kept
from keras_bnsmooth.autodiff.training_loss import loss_scale, training_loss


def value_and_grad(
    model, weights, state, x, y, sample_weight=None, with_respect_to=None
):
    """Returns the training loss at given weights, and its gradient.

    Where the optimizer scales the loss against underflow (mixed float16), the
    gradient is taken of the scaled loss and divided by the scale, as in training.

    Args:
        model: A built, compiled `keras.Model`. It is left as it is.
        weights: W, one tensor for each of `model.trainable_variables`.
        state: One tensor for each of `model.non_trainable_variables`.
        x: Inputs of the batch.
        y: Targets of the batch, or None.
        sample_weight: Weights of the samples, or None.
        with_respect_to: Positions in `weights` to differentiate with respect to;
            None takes all.

    Returns:
        The loss, a scalar tensor, and a list of dense tensors shaped like the
        weights differentiated; zeros where the loss does not depend on a weight.
    """
    function = cached(model, _differentiate, {}, _compile_inner)
    loss, gradient = function(list(weights), list(state), x, y, sample_weight)
    if with_respect_to is not None:
        gradient = [gradient[position] for position in with_respect_to]
    return loss, gradient


def _differentiate(model, weights, state, *batch):
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1:
        return _differentiate_on_replica(model, weights, state, *batch)
    # As in training: Keras divides means by the number of replicas, so that the sums
    # over replicas are loss and gradient of the whole batch.
    with added_losses_kept(model):
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
    # Embeddings give sparse gradients.
    gradient = [tf.convert_to_tensor(g) for g in gradient]
    if scale is not None:
        gradient = [g / tf.cast(scale, g.dtype) for g in gradient]
    return loss, gradient


def shard_batch(model, tensors):
    """Returns tensors of a batch as the devices that train the model share it.

    Args:
        model: The model.
        tensors: Nested structure of tensors with a batch axis, and of None.

    Raises:
        ValueError: The devices cannot share the batch evenly.
    """
    strategy = model.distribute_strategy
    count = strategy.num_replicas_in_sync
    if count == 1:
        return tensors

    def split_one(tensor):
        if tensor is None:
            return None
        shares = tf.split(tensor, check_divisible(tensor.shape[0], count), axis=0)
        return strategy.experimental_distribute_values_from_function(
            lambda context: shares[context.replica_id_in_sync_group]
        )

    return tf.nest.map_structure(split_one, tensors)


def run_on_replicas(model, function, *tensors):
    """Returns `function(*tensors)` of each device's share of a batch, concatenated.

    Args:
        model: The model.
        function: From tensors with a batch axis, split by `shard_batch`, to a nested
            structure of tensors with one.
        *tensors: Its arguments.
    """
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1:
        return function(*tensors)
    with added_losses_kept(model):
        results = strategy.run(function, args=tensors)
    return tf.nest.map_structure(
        lambda result: tf.concat(strategy.experimental_local_results(result), axis=0),
        results,
    )


def sequential_map(function, values):
    """Returns `function` of each element of a tensor, stacked.

    One element after the other, so that the memory of one is enough.

    Args:
        function: From a scalar tensor to a tensor of the dtype of `values`.
        values: Tensor [K].
    """
    return tf.map_fn(function, values, parallel_iterations=1)


def optimization_barrier(tensors, others):
    """Returns `tensors`, which are not available before `others` are computed.

    Keeps computations that do not depend on each other from running at once, each
    with memory of its own.
    """
    with tf.control_dependencies(others):
        return [tf.identity(tensor) for tensor in tensors]


def compiled(model, function, **options):
    """Returns `function(model, weights, state, *arrays, **options)`, compiled.

    Compiled as `model.fit` compiles the training step: with XLA where the model was
    compiled with `jit_compile`, not at all where it runs eagerly. It is traced once
    for each set of shapes and dtypes and kept for the life of the model; compiling
    the model again, freezing or unfreezing layers starts afresh.

    Args:
        model: A built, compiled `keras.Model`.
        function: Pure function of the tensors that it is given. The first two
            arguments after the model are the present values of its trainable and
            non-trainable variables.
        **options: Hashable arguments of `function` that are not tensors.

    Returns:
        Callable of `*arrays`, which may be nested structures and None.
    """
    return cached(model, function, options, _compile_outermost)


def prefers_small_graphs(model):
    """Returns whether the time to compile grows faster than the size of a graph.

    So it does with XLA, to hours, and where layers wait for those of other replicas.
    """
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
    # Compiled by XLA along with the outermost function, or not at all.
    return _compile(model, function, jit_compile=None)


def _compile(model, function, jit_compile):
    if model.run_eagerly:
        return function
    graph = tf.function(function, autograph=False, jit_compile=jit_compile)
    # TensorFlow counts traces by line of code, so that several functions, each
    # traced once, look to it like one that is traced over and over.
    graph._omit_frequent_tracing_warning = True
    return graph
