"""TensorFlow implementation of the `autodiff` interface."""

import contextlib
import functools
import inspect
import itertools
import math
import re
import weakref
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.python.framework import ops as tf_ops

from keras_bnsmooth import keras_model
from keras_bnsmooth.autodiff.function_cache import cached
from keras_bnsmooth.autodiff.objective import loss_of
from keras_bnsmooth.autodiff.partial_evaluation import split
from keras_bnsmooth.autodiff.replacement import calls_of, replaced
from keras_bnsmooth.autodiff.training_loss import (
    check_divisible,
    loss_scale,
    raise_custom_gradient,
    second_derivative_errors,
    training_loss,
)
from keras_bnsmooth.autodiff.untracked_state import rewound_tensorflow_variables
from keras_bnsmooth.keras_model import preserve_added_losses


def value(model, weights, state, x, y, sample_weight=None):
    """Returns the training loss."""
    function = cached(model, _evaluate, {}, _compile_inner)
    return function(list(weights), list(state), x, y, sample_weight)


def value_and_grad(
    model, weights, state, x, y, sample_weight=None, with_respect_to=None
):
    """Returns the training loss and its gradient."""
    function = cached(model, _differentiate, {}, _compile_inner)
    loss, gradient = function(list(weights), list(state), x, y, sample_weight)
    if with_respect_to is not None:
        gradient = [gradient[position] for position in with_respect_to]
    return loss, gradient


def own_value_and_grad(model, x, y, sample_weight):
    """Returns loss and gradient of the model's own variables."""
    if model.distribute_strategy.num_replicas_in_sync > 1:
        return None

    def differentiate():
        weights = [v.value for v in model.trainable_variables]
        with rewound_tensorflow_variables(), tf.GradientTape() as tape:
            loss = loss_of(model)(model, x, y, sample_weight)
            scale = loss_scale(model)
            scaled = loss if scale is None else loss * tf.cast(scale, loss.dtype)
        gradient = _gradient(tape, scaled, weights)
        if scale is not None:
            gradient = [g / tf.cast(scale, g.dtype) for g in gradient]
        return loss, gradient

    # XLA draws other random numbers from the same seeds.
    if model.jit_compile:
        differentiate = _compile(model, differentiate, jit_compile=True)
    return differentiate()


def hessian_vector_product(
    model, weights, vector, state, x, y, sample_weight=None, stops=True
):
    """Returns the product of the Hessian of the training loss and a vector."""
    function = cached(model, _multiply, {"stops": stops}, _compile_checked)
    args = (list(weights), list(state), x, y, sample_weight)
    with second_derivative_errors(LookupError, NotImplementedError):
        return function(*args, list(vector))


def linearize(model, x, y, sample_weight, weights):
    """Returns loss, gradient and v -> H v, which share a gradient, or None."""
    # Sums over replicas have no gradient outside of the replicas.
    if model.run_eagerly or model.distribute_strategy.num_replicas_in_sync > 1:
        return None
    function = cached(model, _differentiate_twice, {}, _compile_split)
    with second_derivative_errors(LookupError, NotImplementedError):
        return function(weights, x, y, sample_weight)


def stops_gradients(model, *batch):
    """Returns whether the training loss calls `tf.stop_gradient`."""
    with calls_of(tf, "stop_gradient") as calls:
        _graph_of_loss(model, *_present_values(model), *batch)
    return bool(calls)


def _evaluate(model, *args):
    return _sum_over_replicas(training_loss, model, *args)


def _differentiate(model, *args):
    return _sum_over_replicas(_differentiate_on_replica, model, *args)


def _differentiate_twice(model, *args, stops=True):
    """Returns ((loss, gradient), H v)."""
    with twice_differentiable(stops):
        return _sum_over_replicas(_differentiate_twice_on_replica, model, *args)


def _multiply(model, *args, stops):
    return _differentiate_twice(model, *args, stops=stops)[1]


def _sum_over_replicas(function, model, *args):
    """Returns `function(model, *args)`, each result summed over the replicas.

    Keras divides means by the number of replicas, so the sums are loss and derivatives
    of the whole batch, as in training.
    """
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1:
        return function(model, *args)
    with preserve_added_losses(model):
        results = strategy.run(functools.partial(function, model), args=args)
    return tf.nest.map_structure(
        lambda result: strategy.reduce("SUM", result, axis=None), results
    )


def _differentiate_on_replica(model, weights, state, x, y, sample_weight):
    scale = loss_scale(model)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        loss = training_loss(model, weights, state, x, y, sample_weight)
        scaled = loss if scale is None else loss * tf.cast(scale, loss.dtype)
    gradient = _gradient(tape, scaled, weights)
    if scale is not None:
        gradient = [g / tf.cast(scale, g.dtype) for g in gradient]
    return loss, gradient


def _differentiate_twice_on_replica(model, weights, state, x, y, sample_weight, vector):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        result = _differentiate_on_replica(model, weights, state, x, y, sample_weight)
    return result, _gradient(tape, result[1], weights, output_gradients=vector)


def _gradient(tape, target, weights, **options):
    gradient = tape.gradient(
        target,
        weights,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
        **options,
    )
    # Embeddings have sparse gradients.
    return [tf.convert_to_tensor(g) for g in gradient]


def twice_differentiable(stops=True):
    """Context that replaces functions of TensorFlow for second derivatives.

    Values and gradients stay the same. `tf.nn.moments`, and with it normalization
    layers, holds the mean constant when its variance is differentiated, which makes the
    second derivative wrong. That of `tf.nn.max_pool` is slow, and wrong where images
    keep their size.

    Args:
        stops: Whether `tf.stop_gradient` stops gradients.
    """
    context = contextlib.ExitStack()
    max_pool = functools.partial(_max_pool, tf.nn.max_pool)
    context.enter_context(replaced(tf.nn, moments=_moments, max_pool=max_pool))
    if not stops:
        context.enter_context(replaced(tf, stop_gradient=tf.identity))
    return context


def _moments(x, axes, shift=None, keepdims=False, name=None):
    x = tf.convert_to_tensor(x)
    # As TensorFlow does: statistics of halves are taken in single precision.
    y = tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x
    mean = tf.reduce_mean(y, axes, keepdims=True)
    variance = _mean_square(y, mean, axes)
    if not keepdims:
        mean, variance = (tf.squeeze(moment, axes) for moment in (mean, variance))
    return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)


def _mean_square(x, mean, axes):
    @tf.custom_gradient
    def mean_square(x, mean):
        value = tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True)
        count = tf.cast(tf.size(x) / tf.size(value), x.dtype)

        def gradient(upstream):
            # That of the mean is zero, but x - mean here depends on it.
            return upstream * (2 / count) * (x - mean), tf.zeros_like(mean)

        return value, gradient

    return mean_square(x, mean)


def _max_pool(max_pool, input, ksize, strides, padding, data_format=None, name=None):
    size, step = (
        list(option) if isinstance(option, Sequence) else [option, option]
        for option in (ksize, strides)
    )
    x = tf.convert_to_tensor(input)
    image = x.shape[1:3]
    if (
        x.shape.rank != 4
        or len(size) != 2
        or None in image.as_list()
        or data_format not in (None, "NHWC")
    ):
        return max_pool(input, ksize, strides, padding, data_format, name)
    if padding == "SAME":
        # The kernel of MaxPoolGradGrad overwrites its input if the output has the same
        # shape, so pad where TensorFlow would.
        margins = [
            max((math.ceil(length / s) - 1) * s + k - length, 0)
            for length, k, s in zip(image, size, step, strict=True)
        ]
        around = [[0, 0], *([m // 2, m - m // 2] for m in margins), [0, 0]]
        x = tf.pad(x, around, constant_values=x.dtype.min)
    options = {"ksize": [1, *size, 1], "strides": [1, *step, 1], "padding": "VALID"}
    tiled = size == step and all(
        length % k == 0 for length, k in zip(x.shape[1:3], size, strict=True)
    )
    return (_max_pool_tiles if tiled else tf.raw_ops.MaxPool)(input=x, **options)


def _max_pool_tiles(input, ksize, **options):
    @tf.custom_gradient
    def pool(x):
        y = tf.raw_ops.MaxPool(input=x, ksize=ksize, **options)
        mask = tf.raw_ops.MaxPoolGrad(
            orig_input=x, orig_output=y, grad=tf.ones_like(y), ksize=ksize, **options
        )
        # Piecewise constant.
        mask = tf.raw_ops.StopGradient(input=mask)

        def gradient(upstream):
            repeated = tf.raw_ops.AvgPoolGrad(
                orig_input_shape=tf.shape(x),
                grad=upstream * math.prod(ksize),
                ksize=ksize,
                **options,
            )
            return mask * repeated

        return y, gradient

    return pool(input)


def _refuse_custom_gradients(model, *args):
    """Raises a ValueError if the loss contains a user's `tf.custom_gradient`."""
    definition = _graph_of_loss(model, *args).as_graph_def()
    functions = [function.node_def for function in definition.library.function]
    for node in itertools.chain(definition.node, *functions):
        name = node.attr["_gradient_op_type"].s.decode()
        if name.startswith("CustomGradient") and not _is_of_tensorflow(name):
            raise_custom_gradient(node.name)


def _graph_of_loss(model, *args):
    def loss(*args):
        return _evaluate(model, *args)

    return tf.function(loss, autograph=False).get_concrete_function(*args).graph


def _is_of_tensorflow(name):
    """Returns whether a custom gradient is part of TensorFlow, such as that of silu.

    TensorFlow registers a closure in which the function that was given is found.
    """
    function = tf_ops.gradient_registry.lookup(name)
    tape_function = inspect.getclosurevars(function).nonlocals["tape_grad_fn"]
    given = inspect.getclosurevars(tape_function).nonlocals["grad_fn"]
    return given.__module__.startswith("tensorflow.")


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


def trace():
    """Returns the graph under construction, or None."""
    return None if tf.executing_eagerly() else tf_ops.get_default_graph()


def prefers_small_graphs(model):
    """Returns whether compile time grows faster than linearly with graph size."""
    if model.run_eagerly:
        return False
    return bool(model.jit_compile) or model.distribute_strategy.num_replicas_in_sync > 1


def _compile_outermost(model, function):
    reference = weakref.ref(model)

    def at_present_values(*arrays):
        model = reference()
        return function(*_present_values(model), *arrays)

    graph = _compile(model, at_present_values, jit_compile=bool(model.jit_compile))
    if model.run_eagerly or not model.jit_compile:
        return graph
    any_shapes = _compile(model, at_present_values, jit_compile=False)
    first = None

    def of_arrays(*arrays):
        nonlocal first
        tensors = tf.nest.flatten(arrays, expand_composites=True)
        shapes = [None if t is None else tuple(t.shape) for t in tensors]
        if first is None:
            first = shapes
        # XLA compiles again for each set of shapes, which can take minutes.
        return (graph if shapes == first else any_shapes)(*arrays)

    return of_arrays


def _present_values(model):
    """Returns W and the values of the non-trainable variables."""
    return tuple(
        [tf.convert_to_tensor(v.value) for v in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )


def _compile_inner(model, function):
    # XLA compiles it along with the outermost function, or not at all.
    return _compile(model, function, jit_compile=None)


def _compile_checked(model, function):
    """Compiles `_multiply`, which first looks for custom gradients."""
    reference, unchecked = weakref.ref(model), True
    graph = _compile_inner(model, function)

    def checked(weights, state, x, y, sample_weight, *vector):
        nonlocal unchecked
        if unchecked:
            _refuse_custom_gradients(reference(), weights, state, x, y, sample_weight)
            unchecked = False
        return graph(weights, state, x, y, sample_weight, *vector)

    return checked


def _compile_split(model, function):
    """Compiles `_differentiate_twice` to products that share one gradient."""
    reference, graphs = weakref.ref(model), {}

    def linearized(weights, *batch):
        model = reference()
        present, state = _present_values(model)
        if weights is None:
            weights = present
        args = [list(map(tf.convert_to_tensor, weights)), state, *batch]
        leaves = tf.nest.flatten(args, expand_composites=True)
        tensors = [leaf for leaf in leaves if leaf is not None]
        specifications = [tf.TensorSpec(t.shape, t.dtype) for t in tensors]
        key = tuple((s.dtype, s.shape.rank) for s in specifications)
        known, graph = graphs.get(key, (specifications, None))
        # As `tf.function` does: for any length once the lengths differ.
        general = [
            one.most_specific_common_supertype([other])
            for one, other in zip(known, specifications, strict=True)
        ]
        if key not in graphs or general != known:
            _refuse_custom_gradients(model, *args)

            def of_lists(first, vector):
                values = iter(first)
                filled = [None if leaf is None else next(values) for leaf in leaves]
                packed = tf.nest.pack_sequence_as(args, filled, expand_composites=True)
                return function(*packed, vector)

            varies = not all(s.shape.is_fully_defined() for s in general)
            compile_function = functools.partial(
                _compile, model, jit_compile=bool(model.jit_compile) and not varies
            )
            graph = split(of_lists, general, args[0], compile_function)
            graphs[key] = general, graph
        if graph is None:
            return None
        prepare, finish = graph
        (loss, gradient), intermediate = prepare(tensors)
        return loss, gradient, lambda vector: finish(list(vector), intermediate)

    return linearized


def _compile(model, function, jit_compile):
    if model.run_eagerly:
        return function

    def checked(*args):
        with keras_model.observed_input_checks(_check_lengths):
            return function(*args)

    # What is compiled as part of another function is traced for the shapes there.
    outermost = jit_compile is not None
    # Traced at most twice for arrays that differ in length: for the first length, and
    # for any.
    graph = tf.function(
        checked,
        autograph=False,
        jit_compile=jit_compile,
        reduce_retracing=outermost,
    )
    # TensorFlow counts traces per line of code, so several functions that are each
    # traced once look like one function that keeps retracing.
    graph._omit_frequent_tracing_warning = True
    return _with_value_errors(graph) if outermost else graph


def _with_value_errors(graph):
    def call(*args):
        try:
            return graph(*args)
        except tf.errors.InvalidArgumentError as error:
            line = re.search(_INCOMPATIBLE.format(".*", ".*", r"\d+"), error.message)
            if line is None:
                raise
            raise ValueError(line[0]) from None

    return call


_INCOMPATIBLE = "Input of layer {} is incompatible: its length along axis {} must be {}"


def _check_lengths(layer, x, lengths):
    """Adds a check of those lengths that are unknown while a graph is traced.

    A graph for any lengths takes some that do not fit: convolutions group channels.
    """
    if not isinstance(x, tf.Tensor) or x.shape.rank is None:
        return
    for axis, length in lengths.items():
        if x.shape[axis] is None:
            tf.debugging.assert_equal(
                tf.shape(x)[axis],
                length,
                _INCOMPATIBLE.format(layer, axis, length),
            )
