"""Directions in weight space other than the gradient."""

from typing import Any

import keras
import numpy as np

from keras_bnsmooth import autodiff, keras_model
from keras_bnsmooth.probes import lanczos
from keras_bnsmooth.probes.arguments import as_weights
from keras_bnsmooth.probes.output_units import output_axes

RANDOM = ("random", "filter_normalized_random")


def check_direction(direction: str) -> str:
    """Returns the direction, or raises a ValueError if it is unknown."""
    if direction not in ("gradient", "update", *RANDOM):
        raise ValueError(
            "direction must be 'gradient', 'update' or one of "
            f"{', '.join(map(repr, RANDOM))}; received {direction!r}."
        )
    return direction


def update_direction(
    model: keras.Model, batch: tuple, gradient: list | None = None
) -> list[Any]:
    """Returns W(t) - W(t+1), the step that the optimizer would make on a batch now.

    Learning rate, momentum, weight decay, clipping and constraints count. If the
    optimizer accumulates gradients, which makes most steps zero, it is the next step
    made, with this batch in place of all that are still missing. On TensorFlow, the
    optimizers of Keras take tokens that repeat in an `Embedding` for separate
    gradients, whose squares and norms differ from those of their sum, which this uses.

    The optimizer is built if it is not yet. Its state and the weights are the same
    afterwards; a copy of both is held on the host meanwhile.

    Args:
        model: A built, compiled `keras.Model`.
        batch: (x, y, sample_weight) as tensors.
        gradient: Tensors to take for the gradient of the batch, or None.

    Returns:
        A list with one tensor of the shape and dtype of each trainable variable.

    Raises:
        ValueError: The model has no optimizer, several, or several replicas.
    """
    optimizer = keras_model.build_single_optimizer(model)
    if gradient is None:
        gradient = autodiff.compiled(model, gradient_at)(*batch, None)
    with autodiff.preserve_untracked_state(model, optimizer):
        return as_weights(model, keras_model.update(model, gradient))


def gradient_at(model, present, state, x, y, sample_weight, weights):
    """Returns the gradient at `weights`, or at the present ones if None."""
    weights = present if weights is None else weights
    return autodiff.value_and_grad(model, weights, state, x, y, sample_weight)[1]


def random_direction(
    direction: str, model: keras.Model, seed: int | list[int], *, unit: bool = True
) -> list[np.ndarray] | None:
    """Returns a random direction of length 1, or None for other directions.

    Drawn with NumPy, so that a seed gives the same direction on every backend.

    Args:
        direction: `"gradient"` or `"update"`; `"random"`, Gaussian; or
            `"filter_normalized_random"`, Gaussian with every filter rescaled to the
            norm of the corresponding filter of the weights, and zero along biases and
            normalization scales (Li et al., "Visualizing the Loss Landscape of Neural
            Nets", 2018, section 4). A filter are the weights that produce one output
            unit, see `output_axes`.
        model: A built `keras.Model`.
        seed: Integer, or a list of integers.
        unit: False for a random direction as long as the weights, and a
            filter-normalized one whose filters are.

    Returns:
        A list with one array of the shape and dtype of each trainable variable; None
        for the gradient and the update.

    Raises:
        ValueError: The direction is unknown, or all weights to be filter-normalized
            are zero.
    """
    if check_direction(direction) not in RANDOM:
        return None
    variables = model.trainable_variables
    generator = np.random.default_rng(seed)
    arrays = [generator.standard_normal(tuple(v.shape)) for v in variables]
    if direction == "filter_normalized_random":
        arrays = [
            _filter_normalized(array, np.asarray(v.numpy(), np.float64), units)
            for array, v, units in zip(
                arrays, variables, output_axes(model), strict=True
            )
        ]
    norm = lanczos.norm(arrays)
    if norm == 0:
        raise ValueError(
            "A filter-normalized direction needs weights of two or more dimensions "
            "that are not all zero."
        )
    if not unit and direction == "random":
        norm /= lanczos.norm(lanczos.to_host(variables))
    elif not unit:  # filters have their lengths already
        norm = 1.0
    return [
        (array / norm).astype(v.dtype)
        for array, v in zip(arrays, variables, strict=True)
    ]


def _filter_normalized(array, weights, units):
    if units is None:
        return np.zeros_like(array)
    axes = tuple(axis for axis in range(array.ndim) if axis not in units)
    norms = np.sqrt(np.sum(np.square(array), axis=axes, keepdims=True))
    return array / norms * np.sqrt(np.sum(np.square(weights), axis=axes, keepdims=True))
