"""Checks that a model's loss and gradient are functions of weights and batch at all.

Probes replay the numbers that a model draws from `keras.random`, Python, NumPy, PyTorch
and `tf.random.Generator`. Where a layer draws them elsewhere, or keeps a state that
Keras does not know, two evaluations differ, and the difference would pass for the
landscape. Evaluating twice before measuring is an idea of curvlinops. The check of each
probe measures a step of length zero, with the compiled function that later measurements
use.
"""

from typing import NoReturn

import keras
import numpy as np

from keras_bnsmooth.probes.rounding import rounding_unit

# On some devices parallel sums differ from call to call by a few rounding units, which
# cancellation magnifies. Unseeded random numbers change everything.
_TOLERANCE_IN_UNITS = 1e4


def relative_tolerance(model: keras.Model, units: float = _TOLERANCE_IN_UNITS) -> float:
    """Returns the relative difference that rounding may explain.

    Args:
        model: The model.
        units: That difference in units of `rounding_unit`.
    """
    return min(0.1, units * rounding_unit(model))


def always_rounds_alike(first: tuple, second: tuple) -> bool:
    """Returns whether a measurement gives the same bits when it is repeated.

    Then evaluations in it differ by rounding: compilers order the operations of each
    one in their own way. Networks that normalize over two or four values, as
    EfficientNet does for a small batch of small images, magnify that beyond any
    tolerance; `rounding_noise` measures by how much.

    Args:
        first: Arrays.
        second: The same arrays, measured again.
    """
    return all(
        np.array_equal(one, other, equal_nan=True)
        for one, other in zip(first, second, strict=True)
    )


def raise_changed(model: keras.Model, what: str) -> NoReturn:
    """Raises the ValueError that two evaluations of a quantity differ."""
    raise ValueError(
        f"the {what} of {model.name} changed between two evaluations at the same "
        "weights on the same batch: a layer draws random numbers or keeps state where "
        "probes cannot replay it, as tf.random.normal does; draw with keras.random and "
        "a keras.random.SeedGenerator, and keep state in variables made by add_weight"
    )
