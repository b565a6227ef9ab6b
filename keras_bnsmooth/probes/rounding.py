"""Estimates the rounding error in the difference of two gradients."""

from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff, keras_model
from keras_bnsmooth.probes.vector_norms import (
    accumulation_dtype,
    differences,
    norm,
    scaled_squares,
)

_DRAWS = 3


def rounding_unit(model: keras.Model) -> float:
    """Returns the relative spacing of the coarsest floats that a gradient passes.

    These are the dtypes of the weights, of the layers' computations and of the loss,
    which is computed in `keras.config.floatx()`: set that to `"float64"` for float64
    from end to end.
    """
    dtypes = {v.dtype for v in model.trainable_variables} | {keras.config.floatx()}
    # Inputs, and layers made of layers such as the model, compute nothing themselves.
    dtypes |= {
        layer.compute_dtype
        for layer in keras_model.flat_layers(model)
        if not keras_model.sublayers(layer)
        and not isinstance(layer, keras.layers.InputLayer)
    }
    return max(
        float(ml_dtypes.finfo(dtype).eps)
        for dtype in dtypes
        if keras.backend.is_float_dtype(dtype)
    )


def rounding_noise(model: keras.Model, batch: tuple, unit: float) -> float:
    """Returns the typical ||grad L(W + e) - grad L(W)|| for rounding-sized e.

    A step W - s d lands on the nearest floating-point numbers, off by an e without a
    preferred direction, and the rounding error of evaluating the gradient varies from
    point to point. Both show when the gradient is evaluated at weights of which a few,
    drawn at random, are moved to a neighboring number, such that ||e|| is what rounding
    to nearest gives: 1 / sqrt(12) of the spacing.

    Args:
        model: A built, compiled `keras.Model`.
        batch: (x, y, sample_weight) as tensors.
        unit: Relative spacing of floating-point numbers, see `rounding_unit`.

    Returns:
        Root mean square over three draws, in units of the gradient.
    """
    generator = np.random.default_rng(0)
    draws = [
        [_signs(generator, tuple(v.shape)) for v in model.trainable_variables]
        for _ in range(_DRAWS)
    ]
    changes = norm(autodiff.compiled(model, _changes, unit=unit)(*batch, draws))
    largest = changes.max()
    if not 0 < largest < np.inf:
        return float(largest)
    return float(largest * np.sqrt(np.mean(np.square(changes / largest))))


def _signs(generator, shape):
    """-1, 0 or 1, with the variance of an error uniform over the spacing, 1 / 12."""
    draw = generator.integers(24, size=shape, dtype=np.int8)
    return (draw == 0).astype(np.int8) - (draw == 1)


def _changes(model, weights, state, *args: Any, unit: float):
    *batch, draws = args
    dtype = accumulation_dtype(model.trainable_variables)
    _, gradient = autodiff.value_and_grad(model, weights, state, *batch)
    changes: list = []
    for signs in draws:
        moved = [
            w + w * ops.cast(unit, w.dtype) * ops.cast(sign, w.dtype)
            for w, sign in zip(weights, signs, strict=True)
        ]
        waiting = autodiff.optimization_barrier(moved, changes or gradient)
        _, g = autodiff.value_and_grad(model, waiting, state, *batch)
        changes.append(scaled_squares(differences(g, gradient), dtype))
    return ops.stack(changes)
