"""How a model is built, called and trained."""

import contextlib
import weakref
from collections.abc import Callable
from typing import Any

import keras
from keras.src.backend import compute_output_spec
from keras.src.layers.input_spec import assert_input_compatibility
from keras.src.losses.loss import scale_loss_for_distribution

from keras_bnsmooth.keras_model.layers import flat_layers, preserve_added_losses


def check_keras(model: Any) -> None:
    """Raises a ValueError unless the model is one of Keras 3."""
    if not isinstance(model, keras.Model):
        raise ValueError(
            "probes need a model of Keras 3 (import keras, or tensorflow.keras without "
            f"TF_USE_LEGACY_KERAS); received {type(model).__module__}."
            f"{type(model).__name__}."
        )


# Models some of whose layers stay without weights, because nothing calls them.
_completely_built: weakref.WeakSet = weakref.WeakSet()


def build(model: keras.Model, x: Any) -> None:
    """Creates the weights of a model that is not built, as `fit` does.

    Initializers and layers draw the seeds that they would draw in `fit`, which then
    draws none.

    Args:
        model: The model.
        x: Inputs of a batch.
    """
    if model in _completely_built:
        return
    if not is_built(model):
        symbolic = keras.tree.map_structure(
            lambda leaf: keras.KerasTensor(leaf.shape, _dtype(leaf)), x
        )
        strategy = getattr(model, "distribute_strategy", None)
        with strategy.scope() if strategy else contextlib.nullcontext():
            compute_output_spec(model, symbolic, training=False)
    _completely_built.add(model)


def is_built(model: keras.Model) -> bool:
    """Returns whether a model and all layers in it have their weights.

    A model that trains in its own way need not have outputs, and is then never built.
    """
    parts = flat_layers(model)
    if custom_training(model) is not None:
        parts.remove(model)
    return all(layer.built for layer in parts)


def _dtype(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def check_input(model: keras.Model, x: Any) -> None:
    """Raises a ValueError unless inputs have the shapes that a model was built for.

    Only Functional and Sequential models know them.
    """
    functional = getattr(model, "_functional", model)  # of a Sequential model
    if hasattr(functional, "_nodes_by_depth"):
        assert_input_compatibility(functional.input_spec, x, model.name)


def call_model(model: keras.Model, x: Any, *, training: bool) -> Any:
    """Returns the outputs of the model in training or inference mode."""
    if model._call_has_training_arg:
        return model(x, training=training)
    return model(x)


def compute_loss(
    model: keras.Model, x, y, y_pred, sample_weight, *, training: bool = True
) -> Any:
    """Returns the loss of `train_step` or `test_step`, a scalar tensor."""
    with _private_loss(model):
        return model._compute_loss(x, y, y_pred, sample_weight, training=training)


# The methods that decide, on some backend, which loss training minimizes.
_TRAINING = (
    "train_step",
    "compute_loss_and_updates",
    "make_train_function",
)


def custom_training(model: keras.Model) -> str | None:
    """Returns the name of a method that trains in another way than Keras does, or None.

    Wherever it was replaced: in a subclass, on the instance or in Keras' own class.
    """
    for name in _TRAINING:
        method = vars(model).get(name, getattr(type(model), name, None))
        if method is not None and not _is_of_keras(method):
            return name
    return None


def _is_of_keras(function):
    # Where the code is; a wrapper may bear the name of another module.
    module = getattr(function, "__globals__", {}).get("__name__", "")
    return module.split(".")[0] == "keras"


def scale_loss_for_replicas(loss: Any) -> Any:
    """Returns a mean over the batch as Keras sums it over the replicas of `tf`."""
    return scale_loss_for_distribution(loss)


def build_loss(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> None:
    """Creates the variables in which a compiled loss tracks several outputs.

    Keras creates them when it first computes the loss. While JAX traces, they would get
    values that are invalid afterwards, so `fit` builds the loss before, as this does.
    """
    with _private_loss(model) as loss:
        if keras.backend.backend() != "jax" or loss is None or loss.built or y is None:
            return
        with preserve_added_losses(model):
            y_pred = compute_output_spec(model, x)
            compute_output_spec(
                model._compute_loss, x, y, y_pred, sample_weight, training=False
            )


# Copies of compiled losses, each of which stays unbuilt until `fit` builds it.
_loss_copies: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def _private_loss(model):
    """Context in which a copy replaces a compiled loss that is not built yet.

    If the loss is not built, `fit` takes a batch from its data to build it, for which
    shuffled data draw random numbers. With a loss built by a probe it would draw fewer,
    and train on the samples in another order.
    """
    loss = getattr(model, "_compile_loss", None)
    if loss is None or loss.built:
        yield loss
        return
    if loss not in _loss_copies:
        _loss_copies[loss] = type(loss)(
            loss._user_loss, loss._user_loss_weights, loss.reduction, loss.output_names
        )
    vars(model)["_compile_loss"] = _loss_copies[loss]
    try:
        yield _loss_copies[loss]
    finally:
        vars(model)["_compile_loss"] = loss


def compile_token(model: keras.Model) -> Any:
    """Returns a token that changes with every call to `model.compile`.

    None if the model was never compiled.
    """
    config = getattr(model, "_compile_config", None)
    return None if config is None else weakref.ref(config)


def traces_training_step(model: keras.Model) -> bool:
    """Returns whether training traces its step once, and then ignores the model."""
    if model.run_eagerly:
        return False
    backend = keras.backend.backend()
    return backend == "tensorflow" or (backend == "jax" and bool(model.jit_compile))


def train_function(model: keras.Model) -> Callable:
    """Returns the function that runs the steps of `fit`; `compile` replaces it."""
    model.make_train_function()
    return model.train_function
