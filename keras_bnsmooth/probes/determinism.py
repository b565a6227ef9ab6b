"""Checks that a model's loss and gradient are functions of weights and batch at all.

A layer that draws random numbers without a `keras.random.SeedGenerator` gives another
loss at every call, and the difference would pass for the landscape. Evaluating twice
before measuring is an idea of curvlinops. Each check measures a step of length zero,
with the compiled function that later measurements use.
"""

from typing import Any, NoReturn

import keras
import numpy as np

from keras_bnsmooth.probes.activations import measure_activations
from keras_bnsmooth.probes.derivatives import check_derivatives, check_symmetry
from keras_bnsmooth.probes.internal_covariate_shift import measure_covariate_shift
from keras_bnsmooth.probes.landscape import measure_landscape
from keras_bnsmooth.probes.rounding import rounding_unit
from keras_bnsmooth.probes.sharpness import measure_sharpness

# On some devices parallel sums differ from call to call by a few rounding units, which
# cancellation magnifies. Unseeded random numbers change everything.
_TOLERANCE_IN_UNITS = 1e4
# 1 - cosine is half the square of the angle, and rounded itself: in float32 this
# detects an angle of 0.005.
_COSINE_TOLERANCE_IN_UNITS = 1e2


def check_landscape(
    model: keras.Model, batch: tuple, count: int, direction: list | None = None
) -> None:
    """Raises a ValueError unless L(W - 0 d) = L(W) and the gradients are equal.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
        count: Number of step sizes of later measurements.
        direction: As in `measure_landscape`.
    """
    r = measure_landscape(model, batch, np.zeros(count), direction)
    tolerance = _tolerance(model)
    loss_differs = np.abs(r.losses - r.loss) > tolerance * np.abs(r.loss)
    gradient_differs = r.gradient_distances > tolerance * r.gradient_norm
    if np.any(loss_differs | gradient_differs):
        _raise(model, "loss or gradient")


def check_internal_covariate_shift(
    model: keras.Model, batch: tuple, **step: Any
) -> None:
    """Raises a ValueError unless G' = G when no weight moves.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
        **step: A step of length zero, as in `measure_covariate_shift`.
    """
    r = measure_covariate_shift(model, batch, **step)
    if np.any(r.cosine < 1 - _tolerance(model, _COSINE_TOLERANCE_IN_UNITS)):
        _raise(model, "gradient")


def check_sharpness(model: keras.Model, batch: tuple) -> None:
    """Raises a ValueError unless a model has a second derivative, always the same.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
    """
    check_derivatives(model, batch)
    first, second = (
        measure_sharpness(model, batch, iterations=2, tolerance=0.0, seed=0)
        for _ in range(2)
    )
    check_symmetry(model, first.asymmetry)
    tolerance = _tolerance(model)
    for name in ("loss", "gradient_norm", "sharpness"):
        one, other = getattr(first, name), getattr(second, name)
        if abs(one - other) > tolerance * abs(one):
            _raise(model, "loss, gradient or curvature")


def check_activations(model: keras.Model, x: Any, layers, units, seed: int) -> None:
    """Raises a ValueError unless two evaluations give the same activations."""
    first, second = (
        measure_activations(model, x, layers, units, seed) for _ in range(2)
    )
    for name, (_, values) in first.items():
        again = second[name][1]
        scale = np.max(np.abs(values), initial=0.0)
        if np.any(np.abs(values - again) > _tolerance(model) * scale):
            _raise(model, f"output of {name}")


def _tolerance(model, units=_TOLERANCE_IN_UNITS):
    return min(0.1, units * rounding_unit(model))


def _raise(model, what) -> NoReturn:
    raise ValueError(
        f"the {what} of {model.name} changed between two evaluations at the same "
        "weights on the same batch; random numbers must come from a "
        "keras.random.SeedGenerator of the layer that draws them"
    )
