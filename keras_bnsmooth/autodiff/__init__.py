"""The training loss and its derivatives at arbitrary weights, without side effects.

This module is the interface. Each backend of Keras implements it in its own file
(`tensorflow`, `jax`, `torch`); nothing else in the library differentiates or compiles.

In every function, `model` is a built, compiled `keras.Model` that is left unchanged,
`weights` is W with one tensor per variable in `model.trainable_variables`, and `state`
has one tensor per variable in `model.non_trainable_variables`, seeds included, so that
the same state replays the same noise.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_bnsmooth.autodiff.training_loss import stateless
from keras_bnsmooth.backend import BACKENDS

if keras.backend.backend() not in BACKENDS:
    raise ImportError(
        f"keras_bnsmooth differentiates on the {', '.join(BACKENDS)} backends of "
        f"Keras; KERAS_BACKEND is {keras.backend.backend()!r}."
    )

_backend: Any = importlib.import_module(f"{__name__}.{keras.backend.backend()}")

__all__ = [
    "compiled",
    "optimization_barrier",
    "prefers_small_graphs",
    "run_on_replicas",
    "sequential_map",
    "shard_batch",
    "stateless",
    "value_and_grad",
]


def value_and_grad(
    model: keras.Model,
    weights: Sequence,
    state: Sequence,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    with_respect_to: Sequence[int] | None = None,
) -> tuple[Any, list]:
    """Returns the training loss L(W) and its gradient.

    If the optimizer scales the loss against underflow (mixed float16), the scaled loss
    is differentiated and the gradient divided by the scale, as in training.

    Args:
        model: The model.
        weights: W.
        state: Values of the non-trainable variables.
        x: Inputs of the batch.
        y: Targets of the batch, or None.
        sample_weight: Weights of the samples, or None.
        with_respect_to: Positions in `weights` to differentiate with respect to;
            defaults to all.

    Returns:
        The loss, a scalar tensor, and a list of dense tensors shaped like the weights
        differentiated, zero where the loss does not depend on a weight.
    """
    return _backend.value_and_grad(
        model, weights, state, x, y, sample_weight, with_respect_to
    )


def compiled(model: keras.Model, function: Callable, **options: Any) -> Callable:
    """Returns `function(model, weights, state, *arrays, **options)`, compiled.

    Compiled the way `model.fit` compiles the training step: with XLA if the model was
    compiled with `jit_compile`, not at all if it runs eagerly. Traced once per set of
    shapes and dtypes and cached for the lifetime of the model; recompiling the model,
    or freezing or unfreezing layers, clears the cache.

    Args:
        model: The model.
        function: A pure function of tensors. `weights` and `state` are the current
            values of the model's variables.
        **options: Hashable arguments of `function` that are not tensors.

    Returns:
        A callable of `*arrays`, which may be nested structures and None.
    """
    return _backend.compiled(model, function, **options)


def shard_batch(model: keras.Model, tensors: Any) -> Any:
    """Distributes a batch over the devices that train the model.

    Args:
        model: The model.
        tensors: Nested structure of tensors with a batch axis, and of None. With
            several processes, each passes the whole batch.

    Raises:
        ValueError: The devices cannot share the batch evenly.
    """
    return _backend.shard_batch(model, tensors)


def run_on_replicas(model: keras.Model, function: Callable, *tensors: Any) -> Any:
    """Returns `function(*tensors)`, run on every device's shard and concatenated.

    Args:
        model: The model.
        function: From tensors sharded by `shard_batch` to a nested structure of
            tensors with a batch axis.
        *tensors: Its arguments.
    """
    return _backend.run_on_replicas(model, function, *tensors)


def sequential_map(function: Callable, values: Any) -> Any:
    """Returns `function` of each element of `values` [K], stacked.

    Evaluates one element after the other, so that peak memory is that of one.

    Args:
        function: From a scalar tensor to a tensor of the dtype of `values`.
        values: Tensor [K].
    """
    return _backend.sequential_map(function, values)


def optimization_barrier(tensors: Sequence, others: Sequence) -> Sequence:
    """Returns `tensors`, available only after `others` are computed.

    Prevents independent computations from running concurrently, which would multiply
    peak memory.
    """
    return _backend.optimization_barrier(tensors, others)


def prefers_small_graphs(model: keras.Model) -> bool:
    """Returns whether compile time grows faster than linearly with graph size.

    True under XLA, where it grows to hours, and where layers wait for other replicas.
    """
    return _backend.prefers_small_graphs(model)
