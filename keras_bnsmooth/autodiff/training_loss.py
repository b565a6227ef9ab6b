"""The loss that `model.fit` minimizes, as a pure function of the weights."""

import contextlib
from collections.abc import Iterator
from typing import NoReturn

import keras
from keras import ops

from keras_bnsmooth import keras_model
from keras_bnsmooth.autodiff.generators import replay_global_generators


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
        keras.StatelessScope(state_mapping=values, collect_losses=True) as scope,
    ):
        yield scope


def training_loss(model: keras.Model, weights, state, x, y, sample_weight):
    """Returns the training loss L(W) on a batch without touching the model.

    Layers that draw from global random generators draw the same numbers each time.

    Follows `keras.Model.train_step`, so compiled losses, `add_loss`, regularizers and
    an overridden `compute_loss` all count.

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
    with replay_global_generators(), stateless(model, weights, state):
        y_pred = keras_model.call_in_training_mode(model, x)
        # Inside the scope, since regularizers read the weights too.
        return keras_model.compute_loss(model, x, y, y_pred, sample_weight)


def loss_scale(model: keras.Model):
    """Returns the factor by which the optimizer scales the loss, or None.

    Under mixed float16, optimizers scale the loss to keep gradients from underflowing.
    Divide the gradient of the scaled loss by this factor, a scalar tensor.
    """
    optimizer = model.optimizer
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
