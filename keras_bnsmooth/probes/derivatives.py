"""Checks that a model has the derivatives that curvature is made of.

A layer may stop gradients or define its own. Training then follows a vector that is not
the derivative of the loss, or whose derivative is not symmetric: no number that is
computed from it is the curvature of the loss.
"""

import keras
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff, keras_model
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.probes.critical_learning_rate import compiled_loss_along
from keras_bnsmooth.probes.lanczos import add_scaled, norm, to_host
from keras_bnsmooth.probes.rounding import rounding_unit

# Steps along the gradient change the loss by this fraction, and by a quarter of it.
_RELATIVE_CHANGE = 0.0025
# A slope that differs by more is not that of the loss, if two step sizes agree.
_SLOPE_TOLERANCE = 0.05
_AGREEMENT = 0.02
# Products in float32 were observed to differ by up to 100 rounding units.
_TOLERANCE_IN_UNITS = 1e4


def check_derivatives(model: keras.Model, batch: tuple) -> None:
    """Raises a ValueError if the gradient is not the derivative of the loss.

    Compares the gradient with differences of the loss along it. Only the first call for
    a compiled model and its loss evaluates anything.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
    """
    for layer in keras_model.flat_layers(model):
        if isinstance(layer, keras.layers.SpectralNormalization) or getattr(
            layer, "renorm", False
        ):
            raise ValueError(
                f"{layer.name} ({type(layer).__name__}) stops gradients by design, so "
                "curvature cannot be measured; remove it."
            )
    once(model, _check)(batch)


def _check(model, batch):
    loss, gradient, product = autodiff.linearize(model, *batch)
    if autodiff.stops_gradients(model, *batch):
        _check_stops(model, batch, product)
    _check_slope(model, batch, float(loss), gradient)


def _check_stops(model, batch, product):
    """Raises a ValueError if products change when no gradient is stopped."""
    generator = np.random.default_rng(0)
    vector = [
        ops.convert_to_tensor(generator.standard_normal(tuple(v.shape)), v.dtype)
        for v in model.trainable_variables
    ]
    stopped = to_host(product(vector))
    unstopped = to_host(autodiff.compiled(model, _product)(*batch, vector))
    add_scaled(unstopped, -1, stopped)
    difference = norm(unstopped)
    if difference > _tolerance(model) * norm(stopped):
        raise ValueError(
            f"a layer of {model.name} stops gradients (stop_gradient, detach), which "
            f"changes second derivatives by {100 * difference / norm(stopped):.2g} %, "
            "so curvature cannot be measured."
        )


def _product(model, weights, state, x, y, sample_weight, vector):
    return autodiff.hessian_vector_product(
        model, weights, vector, state, x, y, sample_weight, stops=False
    )


def _check_slope(model, batch, loss, gradient):
    """Raises a ValueError if the loss changes along g at another rate than ||g||."""
    length = norm(to_host(gradient))
    if not (0 < length < np.inf and np.isfinite(loss)):
        return
    loss_along = compiled_loss_along(model, batch, gradient)

    def slope(relative_change):
        eta = relative_change * abs(loss) / length / length
        return (loss_along(-eta) - loss_along(eta)) / (2 * eta * length)

    coarse, fine = slope(_RELATIVE_CHANGE), slope(_RELATIVE_CHANGE / 4)
    tolerance = _SLOPE_TOLERANCE + 10 * rounding_unit(model) / _RELATIVE_CHANGE
    consistent = abs(coarse - fine) <= _AGREEMENT * length
    if consistent and abs(fine - length) > tolerance * length:
        raise ValueError(
            f"the gradient of {model.name} is not the derivative of its loss, which "
            f"changes along it at a rate of {fine:.3g} instead of {length:.3g}; "
            "curvature cannot be measured."
        )


def _tolerance(model):
    unit = rounding_unit(model)
    if keras.backend.backend() != "tensorflow":
        # Keras computes means and losses in single precision there.
        unit = max(unit, float(np.finfo(np.float32).eps))
    return min(0.1, _TOLERANCE_IN_UNITS * unit)


def check_symmetry(model: keras.Model, asymmetry: float) -> None:
    """Raises a ValueError if products with the Hessian are not symmetric.

    Args:
        model: The model.
        asymmetry: As in `Sharpness`.
    """
    if asymmetry > _tolerance(model):
        raise ValueError(
            f"the second derivative of {model.name} is not symmetric, by "
            f"{asymmetry:.2g} of its largest eigenvalue: a layer stops part of its "
            "gradient, so curvature cannot be measured."
        )
