"""The loss that training minimizes, as a pure function of the weights."""

import contextlib
from collections.abc import Iterator
from typing import NoReturn

import keras
from keras import ops

from keras_bnsmooth import keras_model
from keras_bnsmooth.autodiff.generators import replay_global_generators
from keras_bnsmooth.autodiff.objective import compiled_loss, inference_loss, loss_of
from keras_bnsmooth.autodiff.untracked_state import replay_untracked_state


@contextlib.contextmanager
def stateless(model: keras.Model, weights, state) -> Iterator[keras.StatelessScope]:
    """Context in which the model has the given values and discards assignments.

    Moving statistics, seeds and metrics keep their values: whatever is assigned can be
    read from the scope and is discarded on exit. Seeds are part of `state`, so the same
    state replays the same noise and dropout at any weights.

    Args:
        model: A built `keras.Model`.
        weights: One tensor per variable in `model.trainable_variables`.
        state: One tensor per variable in `model.non_trainable_variables`.
    """
    values = [
        *zip(model.trainable_variables, weights, strict=True),
        *zip(model.non_trainable_variables, state, strict=True),
    ]
    with (
        keras_model.preserve_added_losses(model),
        keras_model.functional_torch_modules(model),
        _Scope(state_mapping=values, collect_losses=True) as scope,
    ):
        yield scope


@contextlib.contextmanager
def evaluation(model: keras.Model, weights, state) -> Iterator[keras.StatelessScope]:
    """Context of one evaluation of a model, see `stateless`, that can be repeated.

    Global random generators, and what layers and losses keep outside of Keras'
    variables, are as before on exit.
    """
    with (
        replay_global_generators(),
        replay_untracked_state(model, loss_of(model)),
        stateless(model, weights, state) as scope,
    ):
        yield scope


class _Scope(keras.StatelessScope):
    """A scope in which the values of an enclosing scope stay visible.

    Attributes:
        unmapped: The variables that were read and that no scope has a value of.
    """

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.unmapped = []

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            value = self.original_scope.get_current_value(variable)
        if value is None:
            self.unmapped.append(variable)
        return value


def training_loss(model: keras.Model, weights, state, x, y, sample_weight):
    """Returns the training loss L(W) on a batch without touching the model.

    That is the loss given for it, see `objective`, or else that of
    `keras.Model.train_step`.
    Layers that draw from global random generators draw the same numbers each time.

    Args:
        model: A built, compiled `keras.Model`.
        weights: W, one tensor per variable in `model.trainable_variables`.
        state: One tensor per variable in `model.non_trainable_variables`.
        x: Inputs of the batch.
        y: Targets of the batch, or None.
        sample_weight: Weights of the samples, or None.

    Returns:
        A scalar tensor.
    """
    loss = loss_of(model)
    with evaluation(model, weights, state) as scope:
        # All of it inside the scope, since regularizers read the weights too.
        value = loss(model, x, y, sample_weight)
    if loss in (compiled_loss, inference_loss):
        return value
    _check_variables(model, scope.unmapped)
    value = ops.convert_to_tensor(value)
    shape, dtype = tuple(value.shape), keras.backend.standardize_dtype(value.dtype)
    if shape != () or not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "loss must return a floating-point scalar; it returned a tensor of shape "
            f"{shape} and dtype {dtype}."
        )
    return keras_model.scale_loss_for_replicas(value)


def _check_variables(model, unmapped):
    """Raises a ValueError if JAX would compile values of variables into the loss."""
    if keras.backend.backend() != "jax":
        return
    known = {id(v) for v in model.metrics_variables}
    foreign = [v.path for v in unmapped if id(v) not in known]
    if foreign:
        raise ValueError(
            f"loss reads {foreign[0]}, which is not a variable of {model.name}; on JAX "
            "its value would be compiled in. Make the layer that owns it an attribute "
            "of the model."
        )


def loss_scale(model: keras.Model):
    """Returns the factor by which the optimizer scales the loss, or None.

    Under mixed float16, optimizers scale the loss to keep gradients from underflowing.
    Divide the gradient of the scaled loss by this factor, a scalar tensor.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None
    one = ops.ones(())
    scaled = optimizer.scale_loss(one)
    return None if scaled is one else scaled


def check_divisible(samples: int, devices: int) -> int:
    """Returns `devices` if they can share a batch evenly.

    Raises:
        ValueError: `samples` is not a multiple of `devices`.
    """
    if samples % devices:
        raise ValueError(
            f"{devices} devices cannot share {samples} samples evenly; pass a batch "
            f"whose size is a multiple of {devices}."
        )
    return devices


@contextlib.contextmanager
def second_derivative_errors(*types: type[Exception]) -> Iterator[None]:
    """Context that turns a backend's errors on second derivatives into ValueErrors."""
    try:
        yield
    except types as error:
        raise ValueError(
            "an operation of the model has no second derivative on this backend, so "
            f"curvature cannot be measured: {error}"
        ) from error


def raise_custom_gradient(name: str) -> NoReturn:
    """Raises a ValueError that names an operation with a gradient of its own."""
    raise ValueError(
        f"{name} defines its own gradient, whose derivative need not be that of the "
        "loss, so curvature cannot be measured; compute it by differentiable "
        "operations alone."
    )
