"""Checks and conversions of what every probe is given: a model and a batch."""

import keras
import numpy as np

from keras_bnsmooth import autodiff


def check_built(model):
    """Raises ValueError unless the model has its weights."""
    if not model.built:
        raise ValueError(
            f"{model.name} is not built: call it on a batch or build it with an "
            "input shape before probing it."
        )


def check_model(model):
    """Raises ValueError unless the model has a loss and weights to differentiate."""
    check_built(model)
    if not model.compiled:
        raise ValueError(
            f"{model.name} is not compiled: the loss to probe is the one given to "
            "model.compile(...)."
        )
    if not model.trainable_variables:
        raise ValueError(
            f"{model.name} has no trainable weights: there is no gradient to probe."
        )


def to_tensors(model, x, y=None, sample_weight=None):
    """Returns (x, y, sample_weight) as tensors, with dtypes as `model.fit` takes them.

    Where several devices train the model, each takes its share of the batch.

    NumPy arrays of float64 become `keras.config.floatx()`, unless the model's
    weights are float64.

    Raises:
        ValueError: The parts of the batch do not have the same number of samples,
            have none, or the devices cannot share them evenly.
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
        part: sorted({_samples(leaf) for leaf in keras.tree.flatten(value)} - {None})
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
    return autodiff.shard_batch(model, batch)


def _samples(leaf):
    if leaf is None or not len(leaf.shape):
        return None
    return leaf.shape[0]
