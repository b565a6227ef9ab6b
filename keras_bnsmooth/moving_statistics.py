"""Recomputes moving statistics, as `torch.optim.swa_utils.update_bn` does."""

import contextlib
import functools
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import keras
from keras import ops

from keras_bnsmooth import autodiff, keras_model
from keras_bnsmooth.autodiff.generators import preserve_global_generators
from keras_bnsmooth.layers import LpNormalization, NoisyBatchNormalization
from keras_bnsmooth.probes.arguments import check_built, to_batches


@preserve_global_generators()
def recompute_moving_statistics(
    model: keras.Model, data: Any, *, noise: bool = False
) -> None:
    """Sets the moving statistics of all normalization layers to averages over `data`.

    Moving statistics that were collected in training are not those of inference if
    layers add noise: the statistics of layer k + 1 include the noise of layer k, which
    inference removes. With several noisy layers in a row, inference then goes wrong,
    however well the network has learned. Call this function after training and before
    `evaluate`, `predict` or `save`. It also helps after weights were averaged or loaded
    from elsewhere, like PyTorch's `torch.optim.swa_utils.update_bn`.

    Each batch passes once through the model, with all normalizations in training mode,
    so that they normalize by the statistics of that batch. A moving statistic becomes
    the average of those of the batches, in proportion to their numbers of samples; a
    layer that is called several times averages over its calls. What is averaged is what
    the layer itself averages in training: mean and variance in `BatchNormalization`,
    mean and norm in `LpNormalization`.

    Everything else stays as it was: weights, seeds, optimizer, metrics and losses, and
    all of the model if an exception is raised. Normalization layers that run in
    inference mode during training keep their statistics: those with
    `trainable = False` and those that are called with `training=False`.

    Args:
        model: A built `keras.Model`; it need not be compiled.
        data: The inputs of one batch, as an array, a tensor or a dict; one batch as a
            tuple (x, y) or (x, y, sample_weight), of which only x is used; or batches
            of either kind: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a list, a
            generator or any other iterable that ends. Batches should be as large as
            in training. If several devices train the model, they share each batch.
        noise: Whether to leave noise on. By default, layers that are no normalizations
            and hold no other layers (such as `Dropout`, `GaussianNoise` and
            `ActivationNoise`) run in inference mode, and `NoisyBatchNormalization`
            adds no noise: these are the statistics of the network that inference
            evaluates. With `True`, the whole model runs in training mode, as with
            `update_bn`.

    Raises:
        ValueError: The model is not built, it has no `BatchNormalization` or
            `LpNormalization` that runs in training mode, or `data` has no batches.

    Example:
    >>> import keras
    >>> import keras_bnsmooth as kb
    >>> x = 3 + 2 * keras.random.normal((1000, 4), seed=0)
    >>> norm = kb.NoisyBatchNormalization()
    >>> model = keras.Sequential([keras.Input((4,)), norm])
    >>> kb.recompute_moving_statistics(model, x)
    >>> bool(keras.ops.all(abs(norm.moving_mean - 3) < 0.3))
    True
    """
    check_built(model)
    inputs = (x for x, *_ in to_batches(data))
    statistics = averaged_statistics(model, inputs, noise=bool(noise))
    for variable in model.non_trainable_variables:
        if id(variable) in statistics:
            variable.assign(statistics[id(variable)])


def averaged_statistics(
    model: keras.Model,
    inputs: Iterable,
    weights: Sequence | None = None,
    *,
    noise: bool = False,
) -> dict[int, Any]:
    """Returns what `recompute_moving_statistics` assigns, by the `id` of variables.

    Args:
        model: A built model, which stays as it is.
        inputs: Inputs x of batches, as tensors.
        weights: One tensor per trainable variable, or None for the present values.
        noise: As above.

    Raises:
        ValueError: As above.
    """
    layers = _normalizations(model)
    if not any(layer.trainable for layer in layers):
        raise _nothing_to_recompute(model)
    state = [ops.convert_to_tensor(v.value) for v in model.non_trainable_variables]
    samples = [ops.zeros((), "float32") for _ in layers]
    update = autodiff.compiled(model, _update, noise=noise)
    for x in inputs:
        keras_model.check_input(model, x)
        x = autodiff.shard_batch(model, x)
        state, samples = update(x, state, samples, weights)
    averaged = [layer for layer, n in zip(layers, samples, strict=True) if float(n) > 0]
    if not averaged:
        raise _nothing_to_recompute(model)
    ids = {id(v) for layer in averaged for v in _moving_statistics(layer)}
    variables = zip(model.non_trainable_variables, state, strict=True)
    return {id(v): value for v, value in variables if id(v) in ids}


def _normalizations(model):
    kinds = (keras.layers.BatchNormalization, LpNormalization)
    return [la for la in keras_model.flat_layers(model) if isinstance(la, kinds)]


def _moving_statistics(layer):
    return [v for v in layer.non_trainable_variables if v.name.startswith("moving_")]


def _nothing_to_recompute(model):
    return ValueError(
        f"{model.name} has no moving statistics to recompute: none of its layers is a "
        "BatchNormalization or LpNormalization that is trainable and runs in training "
        "mode."
    )


def _update(model, present, _, x, state, samples, weights, noise):
    """Returns the state and the numbers of samples after one more batch.

    Args:
        model: The model.
        present: Current values of the trainable variables.
        _: Current values of the non-trainable variables; `state` replaces them.
        x: Inputs of the batch.
        state: Values of the non-trainable variables after the batches so far.
        samples: Number of samples that each normalization has averaged over so far.
        weights: Values of the trainable variables, or None for `present`.
        noise: Whether to leave noise on.
    """
    layers = _normalizations(model)
    weights = present if weights is None else weights
    # TensorFlow calls the model in one thread per replica.
    replica = threading.local()
    calls = [
        (layer, _averaging_call(layer, number, replica, noise))
        for number, layer in enumerate(layers)
    ]
    if not noise:
        calls += [
            (layer, _inference_call(layer))
            for layer in keras_model.flat_layers(model)
            if layer not in layers and not keras_model.sublayers(layer)
        ]

    def on_replica(x):
        replica.batch_size = ops.cast(ops.shape(keras.tree.flatten(x)[0])[0], "float32")
        replica.samples = list(samples)
        with autodiff.stateless(model, weights, state) as scope:
            keras_model.call_model(model, x, training=True)
            values = [scope.get_current_value(v) for v in model.non_trainable_variables]
        return [ops.expand_dims(value, 0) for value in (*values, *replica.samples)]

    with _restored_momentum(layers), keras_model.replaced_calls(calls):
        of_replicas = autodiff.run_on_replicas(model, on_replica, x)
    values = [_mean_over_replicas(value) for value in of_replicas]
    return values[: len(state)], values[len(state) :]


@contextlib.contextmanager
def _restored_momentum(layers):
    # Not restored after each call, since calls on several replicas take turns.
    momenta = [layer.momentum for layer in layers]
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def _averaging_call(layer, number, replica, noise):
    """Returns a `call` whose moving statistics are averages over all calls so far."""
    call = layer.call
    if not noise and isinstance(layer, NoisyBatchNormalization):
        call = functools.partial(keras.layers.BatchNormalization.call, layer)
    dtype = "float64" if layer.compute_dtype == "float64" else "float32"

    def averaging_call(*args, **kwargs):
        if not (kwargs.get("training") and layer.trainable):
            return call(*args, **kwargs)
        before = replica.samples[number]
        after = replica.samples[number] = before + replica.batch_size
        for variable in _moving_statistics(layer):
            # A momentum of 0 would not discard NaN, since 0 * NaN is NaN.
            value = ops.convert_to_tensor(variable)
            variable.assign(ops.where(before > 0, value, ops.zeros_like(value)))
        layer.momentum = ops.cast(before, dtype) / ops.cast(after, dtype)
        return call(*args, **kwargs)

    return averaging_call


def _inference_call(layer):
    """Returns a `call` that ignores `training=True`."""
    call = layer.call

    def inference_call(*args, **kwargs):
        if kwargs.get("training"):
            kwargs["training"] = False
        return call(*args, **kwargs)

    return inference_call


def _mean_over_replicas(values):
    """Returns the mean of floats, as in training, and the first of anything else."""
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(values.dtype)):
        return values[0]
    return ops.sum(values, axis=0) / values.shape[0]
