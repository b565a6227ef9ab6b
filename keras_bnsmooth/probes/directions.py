"""Directions in weight space other than the gradient."""

import numpy as np

RANDOM = ("random", "filter_normalized_random")


def check_direction(direction):
    """Returns the direction, or raises ValueError if there is no such direction."""
    if direction not in ("gradient", *RANDOM):
        raise ValueError(
            f"direction must be 'gradient' or one of {', '.join(map(repr, RANDOM))}; "
            f"received {direction!r}."
        )
    return direction


def draw(direction, variables, seed):
    """Returns a random direction of length 1, or None for the gradient.

    Drawn by NumPy, so that a seed means the same direction on every backend.

    Args:
        direction: `"gradient"`; `"random"`, Gaussian; or
            `"filter_normalized_random"`, Gaussian with every filter rescaled to the
            norm of the filter of the weights, and zero along biases and along the
            scales of normalizations (Li et al., "Visualizing the Loss Landscape of
            Neural Nets", 2018, section 4). A filter is what makes one output unit:
            a slice along the last axis.
        variables: Trainable variables.
        seed: Integer, or a list of integers.

    Returns:
        A list of arrays, one of the shape and dtype of each variable; None for the
        gradient.

    Raises:
        ValueError: There is no such direction.
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
