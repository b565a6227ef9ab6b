"""Calls of a model at other weights that leave the model untouched."""

import contextlib

import keras


@contextlib.contextmanager
def stateless(model, weights, state):
    """Context in which the model has the given values and forgets what it assigns.

    Moving statistics, seeds and metrics stay as they are: assignments are dropped
    with the scope. The same `state` draws the same noise and dropout at any weights,
    since seeds are part of it.

    Args:
        model: A built `keras.Model`.
        weights: One tensor for each of `model.trainable_variables`.
        state: One tensor for each of `model.non_trainable_variables`.
    """
    values = [
        *zip(model.trainable_variables, weights, strict=True),
        *zip(model.non_trainable_variables, state, strict=True),
    ]
    with (
        added_losses_kept(model),
        keras.StatelessScope(state_mapping=values, collect_losses=True),
    ):
        yield


def call(model, x):
    """Returns the outputs of the model in training mode."""
    if model._call_has_training_arg:
        return model(x, training=True)
    return model(x)


@contextlib.contextmanager
def added_losses_kept(model):
    """Keeps the `model.losses` of the caller's last call, which any call clears."""
    kept = [
        (layer, layer._losses[:], set(layer._loss_ids))
        for layer in model._flatten_layers()
    ]
    try:
        yield
    finally:
        for layer, losses, loss_ids in kept:
            layer._losses[:] = losses
            layer._loss_ids.clear()
            layer._loss_ids.update(loss_ids)
