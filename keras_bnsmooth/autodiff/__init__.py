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

from keras_bnsmooth import keras_model
from keras_bnsmooth.autodiff.generators import replay_global_generators
from keras_bnsmooth.autodiff.objective import (
    Loss,
    check_loss,
    check_trains_compiled_loss,
    has_given_loss,
    inference_loss,
    loss_of,
    objective,
)
from keras_bnsmooth.autodiff.training_loss import evaluation, stateless
from keras_bnsmooth.autodiff.untracked_state import (
    preserve_untracked_state,
    preserve_variables,
    save_untracked_state,
)
from keras_bnsmooth.backend import BACKENDS

if keras.backend.backend() not in BACKENDS:
    raise ImportError(
        f"keras_bnsmooth differentiates on the {', '.join(BACKENDS)} backends of "
        f"Keras; KERAS_BACKEND is {keras.backend.backend()!r}."
    )

_backend: Any = importlib.import_module(f"{__name__}.{keras.backend.backend()}")

__all__ = [
    "Loss",
    "check_loss",
    "check_trains_compiled_loss",
    "compiled",
    "evaluation",
    "has_given_loss",
    "hessian_vector_product",
    "inference_loss",
    "linearize",
    "objective",
    "optimization_barrier",
    "own_value_and_grad",
    "prefers_small_graphs",
    "preserve_untracked_state",
    "preserve_variables",
    "run_on_replicas",
    "save_untracked_state",
    "sequential_map",
    "shard_batch",
    "stateless",
    "stops_gradients",
    "trace",
    "value",
    "value_and_grad",
]


def value(
    model: keras.Model,
    weights: Sequence,
    state: Sequence,
    x: Any,
    y: Any,
    sample_weight: Any = None,
) -> Any:
    """Returns the training loss L(W), a scalar tensor, by a forward pass alone.

    Args:
        model: The model.
        weights: W.
        state: Values of the non-trainable variables.
        x: Inputs of the batch.
        y: Targets of the batch, or None.
        sample_weight: Weights of the samples, or None.
    """
    return _backend.value(model, weights, state, x, y, sample_weight)


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


def own_value_and_grad(
    model: keras.Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    weights: Sequence | None = None,
) -> tuple[Any, list] | None:
    """Returns loss and gradient as training takes them, or None with several replicas.

    The model is called with its own variables, whose values are restored afterwards.

    Args:
        model: The model.
        x: Inputs of the batch.
        y: Targets of the batch, or None.
        sample_weight: Weights of the samples, or None.
        weights: Values that the trainable variables take before, or None.
    """
    with (
        replay_global_generators(),
        preserve_variables(model),
        preserve_untracked_state(model, loss_of(model)),
        keras_model.preserve_added_losses(model),
    ):
        if weights is not None:
            for variable, value in zip(model.trainable_variables, weights, strict=True):
                variable.assign(value)
        return _backend.own_value_and_grad(model, x, y, sample_weight)


def hessian_vector_product(
    model: keras.Model,
    weights: Sequence,
    vector: Sequence,
    state: Sequence,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    stops: bool = True,
) -> list:
    """Returns H v, where H is the Hessian of the training loss L at W.

    Exact up to rounding: the gradient is differentiated again, along v. On TensorFlow,
    `tf.nn.moments`, and with it `BatchNormalization`, is replaced meanwhile by a
    function with the same values and exact second derivatives.

    Args:
        model: The model.
        weights: W.
        vector: v, one tensor per weight, with its shape and dtype.
        state: Values of the non-trainable variables.
        x: Inputs of the batch.
        y: Targets of the batch, or None.
        sample_weight: Weights of the samples, or None.
        stops: False to differentiate through layers that stop gradients as if they did
            not.

    Returns:
        A list of dense tensors shaped like the weights, zero where the gradient does
        not depend on a weight.

    Raises:
        ValueError: An operation has no second derivative, or defines its own gradient,
            whose derivative need not be that of the loss.
    """
    return _backend.hessian_vector_product(
        model, weights, vector, state, x, y, sample_weight, stops
    )


def stops_gradients(
    model: keras.Model, x: Any, y: Any, sample_weight: Any = None
) -> bool:
    """Returns whether the training loss calls a function that stops gradients.

    Args:
        model: The model.
        x: Inputs of the batch.
        y: Targets of the batch, or None.
        sample_weight: Weights of the samples, or None.
    """
    return _backend.stops_gradients(model, x, y, sample_weight)


def linearize(
    model: keras.Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    weights: Sequence | None = None,
) -> tuple[Any, list, Callable[[Sequence], list]]:
    """Returns the training loss, its gradient, and the function v -> H v.

    Compiled, unlike the other functions. Products are as `hessian_vector_product` says;
    where the backend allows it, they share one evaluation of the gradient, whose
    intermediate results are held as long as the function is.

    Args:
        model: The model.
        x: Inputs of the batch.
        y: Targets of the batch, or None.
        sample_weight: Weights of the samples, or None.
        weights: W, or None for the model's present weights.

    Raises:
        ValueError: As for `hessian_vector_product`.
    """
    batch = (x, y, sample_weight)
    shared = _backend.linearize(model, *batch, weights)
    if shared is not None:
        return shared
    loss, gradient = compiled(model, _value_and_grad_at)(*batch, weights)
    multiply = compiled(model, _product_at)
    return loss, gradient, lambda vector: multiply(*batch, weights, vector)


def _value_and_grad_at(model, present, state, x, y, sample_weight, weights):
    weights = present if weights is None else weights
    return value_and_grad(model, weights, state, x, y, sample_weight)


def _product_at(model, present, state, x, y, sample_weight, weights, vector):
    weights = present if weights is None else weights
    return hessian_vector_product(model, weights, vector, state, x, y, sample_weight)


def compiled(model: keras.Model, function: Callable, **options: Any) -> Callable:
    """Returns `function(model, weights, state, *arrays, **options)`, compiled.

    Compiled the way `model.fit` compiles the training step: with XLA if the model was
    compiled with `jit_compile`, not at all if it runs eagerly. Cached for the lifetime
    of the model; recompiling the model, or freezing or unfreezing layers, clears the
    cache. JAX compiles once per set of shapes and dtypes. TensorFlow traces once for
    the first shapes and once for shapes that vary; under `jit_compile`, only the first
    shapes use XLA, which would compile again for each of the others.

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


def trace() -> Any:
    """Returns a token of the innermost graph or transformation that is being traced.

    Tensors cannot be used in another one unless it encloses theirs.
    """
    return _backend.trace()


def prefers_small_graphs(model: keras.Model) -> bool:
    """Returns whether compile time grows faster than linearly with graph size.

    True under XLA, where it grows to hours, and where layers wait for other replicas.
    """
    return _backend.prefers_small_graphs(model)
