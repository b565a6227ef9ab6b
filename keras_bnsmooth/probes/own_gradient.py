"""Checks that what probes see is what training differentiates.

Probes evaluate a model at weights that they hand to it. A layer that assigns its own
weights, that recomputes its outputs for the gradient, or that has state outside of
Keras' variables may then behave differently than at its own.
"""

import keras
import numpy as np

from keras_bnsmooth import autodiff
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.probes.lanczos import add_scaled, norm, to_host
from keras_bnsmooth.probes.rounding import rounding_noise, rounding_unit

# Loss and gradients may differ by this many rounding units, relative to themselves,
_TOLERANCE_IN_UNITS = 1e4
# and gradients by this many times the rounding noise of their differences.
_NOISE = 20
# Length of the step to other weights, relative to the weights.
_STEP = 0.01


def check_own_gradient(model: keras.Model, batch: tuple) -> None:
    """Raises a ValueError if loss or gradient differ from those of the model itself.

    Those are taken as training does: the model is called with its own variables, and
    the backend differentiates with respect to them. Compares at the present weights,
    and a hundredth of their length away along the gradient. Afterwards all variables
    are as before. Only the first call for a compiled model and its loss evaluates
    anything; with several replicas, none does.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
    """
    for variable in model.trainable_variables:
        if getattr(variable, "overwrite_with_gradient", False):
            raise ValueError(
                f"training overwrites {variable.path} with what stands for its "
                "gradient, as in float8, so there is no gradient to measure."
            )
    once(model, _check)(batch)


def _check(model, batch):
    measure = autodiff.compiled(model, _at)
    weights = [v.value for v in model.trainable_variables]
    loss, gradient = measure(*batch, weights)
    gradient = to_host(gradient)
    _compare(model, batch, float(loss), gradient)
    length = norm(gradient)
    if 0 < length < np.inf:
        step = _STEP * norm(to_host(weights)) / length
        moved = to_host(weights)
        add_scaled(moved, -step, gradient)
        moved = [
            keras.ops.convert_to_tensor(w, v.dtype)
            for w, v in zip(moved, model.trainable_variables, strict=True)
        ]
        loss, gradient = measure(*batch, moved)
        _compare(model, batch, float(loss), to_host(gradient), moved)


def _at(model, _, state, x, y, sample_weight, weights):
    return autodiff.value_and_grad(model, weights, state, x, y, sample_weight)


def _compare(model, batch, loss, gradient, weights=None):
    """Raises a ValueError unless the model itself has this loss and this gradient."""
    own = autodiff.own_value_and_grad(model, *batch, weights)
    if own is None:
        return
    own_loss, own_gradient = float(own[0]), to_host(own[1])
    unit = rounding_unit(model)
    tolerance = min(0.1, _TOLERANCE_IN_UNITS * unit)
    own_length = norm(own_gradient)
    if not np.isfinite([own_loss, own_length, loss, norm(gradient)]).all():
        return
    difference = [g.copy() for g in gradient]
    add_scaled(difference, -1, own_gradient)
    distance = norm(difference)
    if abs(loss - own_loss) > tolerance * max(abs(own_loss), abs(loss)):
        what, seen, trained = "loss", loss, own_loss
    elif distance > tolerance * max(own_length, norm(gradient)) and (
        distance > _NOISE * rounding_noise(model, batch, unit)
    ):
        what, seen, trained = "gradient", norm(gradient), own_length
        what = f"gradient, by {distance:.3g} in length"
    else:
        return
    raise ValueError(
        f"a probe would not see what {model.name} trains, but another {what}: "
        f"{seen:.6g} instead of {trained:.6g}; a layer assigns its own weights, "
        "recomputes its outputs or keeps state where probes cannot replay it. Keep "
        "state in variables made by add_weight; a layer that overwrites its weights, "
        "as SpectralNormalization does, cannot be measured."
    )
