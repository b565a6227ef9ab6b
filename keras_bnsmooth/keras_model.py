"""Everything the library reads of a Keras model that Keras does not document.

Every private name of Keras on which the library depends is in this module.
"""

import contextlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras


def step(model: keras.Model) -> int:
    """Returns the number of weight updates that the optimizer has made."""
    return int(_to_numpy(model.optimizer.iterations))


def learning_rate(model: keras.Model) -> float:
    """Returns the optimizer's current learning rate."""
    return float(_to_numpy(model.optimizer.learning_rate))


def call_in_training_mode(model: keras.Model, x: Any) -> Any:
    """Returns the outputs of the model in training mode."""
    if model._call_has_training_arg:
        return model(x, training=True)
    return model(x)


def compute_loss(model: keras.Model, x, y, y_pred, sample_weight) -> Any:
    """Returns the loss as `Model.train_step` computes it, a scalar tensor."""
    return model._compute_loss(x, y, y_pred, sample_weight, training=True)


def compile_token(model: keras.Model) -> Any:
    """Returns a token that changes with every call to `model.compile`.

    None if the model was never compiled.
    """
    config = getattr(model, "_compile_config", None)
    return None if config is None else weakref.ref(config)


def flat_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the model itself and all layers in it, at any depth."""
    return list(model._flatten_layers())


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers directly inside a layer."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def own_trainable_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the trainable variables of a layer without those of its sublayers."""
    return list(layer._trainable_variables)


@contextlib.contextmanager
def replaced_calls(
    calls: Sequence[tuple[keras.layers.Layer, Callable]],
) -> Iterator[None]:
    """Context in which each layer runs the given function instead of its `call`."""
    own_calls = [(layer, vars(layer).get("call")) for layer, _ in calls]
    try:
        for layer, call in calls:
            # Bypasses `Layer.__setattr__`, which tracks whatever is assigned.
            vars(layer)["call"] = call
        yield
    finally:
        for layer, call in own_calls:
            vars(layer).pop("call", None)
            if call is not None:
                vars(layer)["call"] = call


@contextlib.contextmanager
def preserve_added_losses(model: keras.Model) -> Iterator[None]:
    """Restores `model.losses` on exit, since every call of a model clears them."""
    saved = [
        (layer, layer._losses[:], set(layer._loss_ids)) for layer in flat_layers(model)
    ]
    try:
        yield
    finally:
        for layer, losses, loss_ids in saved:
            layer._losses[:] = losses
            layer._loss_ids.clear()
            layer._loss_ids.update(loss_ids)


def _to_numpy(value):
    return keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(value))
