"""Checks and conversions of the model and the batch that every probe is given."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_bnsmooth import autodiff, keras_model


def check_built(model: keras.Model) -> None:
    """Raises a ValueError unless the model is a Keras 3 model that has its weights.

    A model that trains in its own way need not have outputs, and is then never built;
    the layers in it must be.
    """
    keras_model.check_keras(model)
    whole = keras_model.custom_training(model) is None
    parts = [] if whole else model.layers
    if not model.built and not (parts and all(layer.built for layer in parts)):
        raise ValueError(
            f"{model.name} is not built; call it on a batch or build it with an input "
            "shape first."
        )


def check_weights(model: keras.Model) -> None:
    """Raises a ValueError unless the model is built and has weights to train."""
    check_built(model)
    if not model.trainable_variables:
        raise ValueError(
            f"{model.name} has no trainable weights, so it has no gradient to probe."
        )


def check_model(model: keras.Model) -> None:
    """Raises a ValueError unless the model has a loss and weights to differentiate."""
    check_built(model)
    autodiff.check_trains_compiled_loss(model)
    if not model.compiled and not autodiff.has_given_loss(model):
        raise ValueError(
            f"{model.name} is not compiled; probes measure the loss passed to "
            "model.compile(...), or one that is given as loss=."
        )
    check_weights(model)


def to_tensors(
    model: keras.Model, x: Any, y: Any = None, sample_weight: Any = None
) -> tuple:
    """Returns (x, y, sample_weight) as tensors, converted as `model.fit` does.

    Builds the model if it is not built yet. If several devices train it, each receives
    its shard of the batch.

    Raises:
        ValueError: Keras does not accept the arrays together, or `prepare` does not
            accept the model or the batch.
    """
    keras_model.check_keras(model)
    return prepare(model, keras_model.arrays_to_tensors(x, y, sample_weight))


def check_counts(**counts: Any) -> None:
    """Raises a ValueError unless all arguments are positive integers."""
    for name, count in counts.items():
        if not isinstance(count, (int, np.integer)) or count < 1:
            raise ValueError(f"{name} must be a positive integer; received {count!r}.")


def to_batches(data: Any) -> Iterator[tuple]:
    """Yields (x, y, sample_weight) of each batch as tensors, at least one.

    Args:
        data: A batch, as an array, a dict or a tuple, or an iterable of batches.

    Raises:
        ValueError: `data` is neither, does not end or has no batches.
    """
    if isinstance(data, (tuple, Mapping)) or hasattr(data, "shape"):
        yield keras_model.arrays_to_tensors(*keras.utils.unpack_x_y_sample_weight(data))
        return
    if not hasattr(data, "__iter__"):
        raise ValueError(
            "data must be a batch x or (x, y), or an iterable of batches such as a "
            f"tf.data.Dataset; received {type(data).__name__}."
        )
    if isinstance(data, keras.utils.PyDataset) and data.num_batches is None:
        raise ValueError(
            "data must end; received a PyDataset whose num_batches is None. Pass "
            "one that knows its number of batches, or a list of batches."
        )
    empty = True
    for batch in data:
        empty = False
        yield keras_model.batch_to_tensors(batch)
    if empty:
        raise ValueError("data must have at least one batch; received none.")


def prepare(model: keras.Model, batch: tuple) -> tuple:
    """Makes a model and a batch ready for measurements.

    Args:
        model: A `keras.Model`. If it is not built yet, it is built as `fit` would.
        batch: (x, y, sample_weight) as tensors.

    Returns:
        The batch, distributed over the devices that train the model.

    Raises:
        ValueError: The batch is empty, the devices cannot share it evenly, or the model
            computes in float64 on a backend on which Keras rounds that to float32.
    """
    x, *_ = batch
    if all(tuple(leaf.shape)[:1] == (0,) for leaf in keras.tree.flatten(x)):
        raise ValueError("The batch has no samples.")
    keras_model.build(model, x)
    _check_precision(model)
    if not autodiff.has_given_loss(model):  # which need not call the model on x
        keras_model.check_input(model, x)
        if keras_model.custom_training(model) is None:
            keras_model.build_loss(model, *batch)
    return autodiff.shard_batch(model, batch)


def _check_precision(model):
    backend = keras.backend.backend()
    if backend != "tensorflow" and any(v.dtype == "float64" for v in model.variables):
        raise ValueError(
            f"{model.name} has float64 weights, but on the {backend} backend Keras "
            "rounds means, losses and normalizations to float32; build it in float32, "
            "or set KERAS_BACKEND to tensorflow."
        )


def as_weights(
    model: keras.Model, arrays: Sequence, name: str = "weights"
) -> list[Any]:
    """Converts arrays or variables to tensors like the trainable variables.

    Raises:
        ValueError: Their shapes are not those of the trainable variables.
    """
    arrays = [a.value if isinstance(a, keras.Variable) else a for a in arrays]
    shapes = [tuple(a.shape) for a in arrays]
    expected = [tuple(v.shape) for v in model.trainable_variables]
    if shapes != expected:
        raise ValueError(
            f"{name} must hold one array per trainable variable, {len(expected)} of "
            f"shapes {expected}; received {shapes}."
        )
    return [
        keras.ops.convert_to_tensor(a, v.dtype)
        for a, v in zip(arrays, model.trainable_variables, strict=True)
    ]
