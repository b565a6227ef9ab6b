"""Which loss a model trains: the compiled one, or a function that the user gives."""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_bnsmooth import keras_model
from keras_bnsmooth.autodiff.generators import preserve_global_generators
from keras_bnsmooth.autodiff.untracked_state import preserve_untracked_state

Loss = Callable[[keras.Model, Any, Any, Any], Any]

# model -> the loss that is in force in place of the compiled one. By model rather
# than by thread, since TensorFlow traces the replicas of a model in its own threads.
_given: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def objective(model: keras.Model, loss: Loss | None) -> Iterator[None]:
    """Context of measurements of a model, of the given loss.

    What layers and losses keep outside of the model's variables, and all global random
    generators, are restored on exit.

    Args:
        model: The model.
        loss: A function `(model, x, y, sample_weight) -> scalar` in `keras.ops`, or
            None to leave in force what is.

    Raises:
        ValueError: `loss` is not a function, or the model is not one of Keras 3.
    """
    keras_model.check_keras(model)
    check_loss(loss)
    outer = _given.get(model)
    if loss is not None:
        _given[model] = loss
    try:
        with preserve_global_generators(), preserve_untracked_state(model, loss):
            yield
    finally:
        if loss is not None:
            del _given[model]
        if outer is not None:
            _given[model] = outer


def check_loss(loss: Loss | None) -> Loss | None:
    """Returns the argument `loss`, or raises a ValueError if it is not a function."""
    if loss is not None and not callable(loss):
        raise ValueError(
            "loss must be a function (model, x, y, sample_weight) -> scalar; received "
            f"{loss!r}."
        )
    return loss


def has_given_loss(model: keras.Model) -> bool:
    """Returns whether a function is in force in place of the compiled loss."""
    return model in _given


def loss_of(model: keras.Model) -> Loss:
    """Returns the function `(model, x, y, sample_weight)` that a model trains."""
    return _given.get(model, compiled_loss)


def compiled_loss(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> Any:
    """Returns the loss of `keras.Model.train_step`.

    Compiled losses, `add_loss`, regularizers and an overridden `compute_loss` count.

    Raises:
        ValueError: The model's training step is not that of Keras.
    """
    check_trains_compiled_loss(model)
    y_pred = keras_model.call_model(model, x, training=True)
    return keras_model.compute_loss(model, x, y, y_pred, sample_weight)


def inference_loss(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> Any:
    """Returns the compiled loss of the model in inference mode, as `evaluate` does."""
    y_pred = keras_model.call_model(model, x, training=False)
    return keras_model.compute_loss(model, x, y, y_pred, sample_weight, training=False)


def check_trains_compiled_loss(model: keras.Model) -> None:
    """Raises a ValueError if nobody knows what the model trains.

    That is if its training step is not that of Keras and no loss is given.
    """
    if has_given_loss(model):
        return
    custom = keras_model.custom_training(model)
    if custom is not None:
        raise ValueError(
            f"{model.name} trains with its own {custom}, so what it minimizes may not "
            "be its compiled loss; pass that as loss=, a function (model, x, y, "
            "sample_weight) -> scalar."
        )
