"""How much of a difference between two gradients is rounding."""

import keras
import ml_dtypes
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff
from keras_bnsmooth.probes.norms import (
    accumulation_dtype,
    differences,
    squared_norms,
    total,
)

_DRAWS = 3


def rounding_unit(model):
    """Returns the relative spacing of the coarsest floats on the way to a gradient.

    Those of weights, of the layers' computations, and of losses, which compute in
    `keras.config.floatx()` unless told otherwise: set it to `"float64"` for float64
    from end to end.
    """
    dtypes = {v.dtype for v in model.trainable_variables} | {keras.config.floatx()}
    # Inputs and layers made of layers, such as the model, compute nothing themselves.
    dtypes |= {
        layer.compute_dtype
        for layer in model._flatten_layers()
        if not layer._layers and not isinstance(layer, keras.layers.InputLayer)
    }
    return max(
        float(ml_dtypes.finfo(dtype).eps)
        for dtype in dtypes
        if keras.backend.is_float_dtype(dtype)
    )


def rounding_noise(model, batch, unit):
    """Returns the typical ||grad L(W + e) - grad L(W)|| for e of the size of rounding.

    A step W - s d ends on the nearest floating-point numbers, off by an e that has
    no preferred direction, and the rounding errors of evaluating the gradient differ
    from point to point. Both are seen at once by evaluating the gradient at W and
    at weights a few of which, drawn at random, are moved to a neighbouring number,
    so that ||e|| is what rounding to nearest gives: 1 / sqrt(12) of the spacing.

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
    noise = autodiff.compiled(model, _noise, unit=unit)
    return float(np.sqrt(total(noise(*batch, draws)) / _DRAWS))


def _signs(generator, shape):
    """-1, 0 or 1 with the variance of an error uniform over the spacing, 1 / 12."""
    draw = generator.integers(24, size=shape, dtype=np.int8)
    return (draw == 0).astype(np.int8) - (draw == 1)


def _noise(model, weights, state, x, y, sample_weight, draws, unit):
    dtype = accumulation_dtype(model.trainable_variables)
    _, gradient = autodiff.value_and_grad(model, weights, state, x, y, sample_weight)
    squares = []
    for signs in draws:
        moved = [
            w + w * ops.cast(unit, w.dtype) * ops.cast(sign, w.dtype)
            for w, sign in zip(weights, signs, strict=True)
        ]
        _, g = autodiff.value_and_grad(
            model,
            autodiff.optimization_barrier(moved, squares or gradient),
            state,
            x,
            y,
            sample_weight,
        )
        squares.append(ops.sum(squared_norms(differences(g, gradient), dtype)))
    return ops.stack(squares)
