"""Checks and conversions of the model and the batch that every probe is given."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_bnsmooth import autodiff, keras_model


def check_built(model: keras.Model) -> None:
    """Raises a ValueError unless the model has its weights.

    A model that trains in its own way need not have outputs, and is then never built;
    the layers in it must be.
    """
    whole = keras_model.custom_training(model) is None
    parts = [] if whole else model.layers
    if not model.built and not (parts and all(layer.built for layer in parts)):
        raise ValueError(
            f"{model.name} is not built; call it on a batch or build it with an input "
            "shape before probing it."
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

    If several devices train the model, each receives its shard of the batch. Floating
    NumPy arrays become `keras.config.floatx()`, or float64 if the model's weights are.

    Raises:
        ValueError: The batch is empty, its parts have different numbers of samples,
            or the devices cannot share it evenly.
    """
    float_dtype = keras.config.floatx()
    if any(v.dtype == "float64" for v in model.variables):
        float_dtype = "float64"

    def to_tensor(leaf):
        if leaf is None or keras.ops.is_tensor(leaf):
            return leaf
        leaf = np.asarray(leaf)
        if np.issubdtype(leaf.dtype, np.floating):
            leaf = leaf.astype(float_dtype, copy=False)
        return keras.ops.convert_to_tensor(leaf)

    batch = keras.tree.map_structure(to_tensor, (x, y, sample_weight))
    sizes = {
        part: sorted(
            {leaf.shape[0] for leaf in keras.tree.flatten(value) if _has_samples(leaf)}
        )
        for part, value in zip(("x", "y", "sample_weight"), batch, strict=True)
    }
    sizes = {part: size for part, size in sizes.items() if size}
    if len({size for part in sizes.values() for size in part}) > 1:
        given = ", ".join(
            f"{part} has {' and '.join(map(str, size))}" for part, size in sizes.items()
        )
        raise ValueError(
            f"x, y and sample_weight must have the same number of samples; {given}."
        )
    if any(size == [0] for size in sizes.values()):
        raise ValueError("The batch has no samples.")
    if not autodiff.has_given_loss(model):
        keras_model.build_loss(model, *batch)
    return autodiff.shard_batch(model, batch)


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


def _has_samples(leaf):
    return leaf is not None and len(leaf.shape) > 0
