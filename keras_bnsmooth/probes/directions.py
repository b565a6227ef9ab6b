"""Directions in weight space other than the gradient."""

from collections.abc import Sequence

import numpy as np

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
    direction: str, variables: Sequence, seed: int | list[int]
) -> list[np.ndarray] | None:
    """Returns a random direction of length 1, or None for the gradient.

    Drawn with NumPy, so that a seed gives the same direction on every backend.

    Args:
        direction: `"gradient"`; `"random"`, Gaussian; or
            `"filter_normalized_random"`, Gaussian with every filter rescaled to the
            norm of the corresponding filter of the weights, and zero along biases and
            normalization scales (Li et al., "Visualizing the Loss Landscape of Neural
            Nets", 2018, section 4). A filter produces one output unit: it is a slice
            along the last axis.
        variables: Trainable variables.
        seed: Integer, or a list of integers.

    Returns:
        A list with one array of the shape and dtype of each variable; None for the
        gradient.

    Raises:
        ValueError: The direction is unknown, or all weights to be filter-normalized
            are zero.
    """
    if check_direction(direction) == "gradient":
        return None
    generator = np.random.default_rng(seed)
    arrays = [generator.standard_normal(tuple(v.shape)) for v in variables]
    if direction == "filter_normalized_random":
        arrays = [
            _filter_normalized(array, np.asarray(v.numpy(), np.float64))
            for array, v in zip(arrays, variables, strict=True)
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


def _filter_normalized(array, weights):
    if array.ndim < 2:
        return np.zeros_like(array)
    axes = tuple(range(array.ndim - 1))
    norms = np.sqrt(np.sum(np.square(array), axis=axes))
    return array / norms * np.sqrt(np.sum(np.square(weights), axis=axes))
