"""Directions in weight space other than the gradient."""

import keras
import numpy as np

from keras_bnsmooth.probes.output_units import output_axes

RANDOM = ("random", "filter_normalized_random")


def check_direction(direction: str) -> str:
    """Returns the direction, or raises a ValueError if it is unknown."""
    if direction not in ("gradient", *RANDOM):
        raise ValueError(
            f"direction must be 'gradient' or one of {', '.join(map(repr, RANDOM))}; "
            f"received {direction!r}."
        )
    return direction


def random_direction(
    direction: str, model: keras.Model, seed: int | list[int]
) -> list[np.ndarray] | None:
    """Returns a random direction of length 1, or None for the gradient.

    Drawn with NumPy, so that a seed gives the same direction on every backend.

    Args:
        direction: `"gradient"`; `"random"`, Gaussian; or
            `"filter_normalized_random"`, Gaussian with every filter rescaled to the
            norm of the corresponding filter of the weights, and zero along biases and
            normalization scales (Li et al., "Visualizing the Loss Landscape of Neural
            Nets", 2018, section 4). A filter are the weights that produce one output
            unit, see `output_axes`.
        model: A built `keras.Model`.
        seed: Integer, or a list of integers.

    Returns:
        A list with one array of the shape and dtype of each trainable variable; None
        for the gradient.

    Raises:
        ValueError: The direction is unknown, or all weights to be filter-normalized
            are zero.
    """
    if check_direction(direction) == "gradient":
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
    norm = np.sqrt(sum(np.sum(np.square(array)) for array in arrays))
    if norm == 0:
        raise ValueError(
            "A filter-normalized direction needs weights of two or more dimensions "
            "that are not all zero."
        )
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
