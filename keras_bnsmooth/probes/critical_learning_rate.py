"""The largest step that still lowers the loss."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.probes.arguments import as_weights, check_model, to_tensors
from keras_bnsmooth.probes.determinism import raise_changed, relative_tolerance
from keras_bnsmooth.probes.directions import gradient_at, update_direction
from keras_bnsmooth.probes.lanczos import inner, norm, to_host
from keras_bnsmooth.probes.rounding import rounding_unit
from keras_bnsmooth.probes.vector_norms import accumulation_dtype

# The bracket is narrowed to this ratio, then interpolated.
_RATIO = 1.05
# Steps up to 2^40 times the first one are tried: forty evaluations.
_DOUBLINGS = 40
# The fall of the loss is resolved if it is this many rounding units deep.
_RESOLVED = 20


def critical_learning_rate(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    direction: str | Sequence | None = None,
    sample_weight: Any = None,
    loss: autodiff.Loss | None = None,
) -> float:
    """Finds the smallest step along a direction that does not lower the loss.

    This is the smallest eta > 0 with L(W - eta d) >= L(W), to 5 %, where L is the loss
    that training minimizes on this batch, in training mode, and d is the direction. On
    a quadratic loss with curvature c along the gradient it is 2 / c.

    Doubles or halves eta until it has a bracket, then bisects: about ten evaluations of
    the loss. A rise of the loss between the steps that are tried goes unnoticed.

    Args:
        model: A built, compiled `keras.Model`.
        x: Inputs of one batch, as `model.fit` takes them.
        y: Targets of the batch, or None if the model has none.
        direction: d, a list of arrays shaped like `model.trainable_variables`, such as
            an optimizer's update over its learning rate, (W(t) - W(t+1)) / lr;
            `"update"`, the step that the optimizer would make now with the gradient of
            this batch, see `landscape`; or None for the gradient. Only plain SGD steps
            along the gradient: with momentum or Adam, prefer `"update"`. eta then
            counts steps, so the step lowers the loss if eta is above 1.
        sample_weight: Weights of the samples, or None.
        loss: What to measure instead of the compiled loss, a function
            `(model, x, y, sample_weight) -> scalar`, see `landscape`.

    Returns:
        eta. Infinity if the loss falls as far as was looked; 0.0 if it does not fall
        along d at all, as along an ascent direction or where the loss is flat; NaN if
        the loss is not finite, or falls by less than its rounding error.

    Raises:
        ValueError: The model is not built, not compiled or has no trainable weights;
            the batch does not fit it; the direction is unknown, has another shape or
            is not finite, or is the update of a model that has no optimizer or
            several; two evaluations at the same weights differ.

    Example:
    ```python
    eta = kb.probes.critical_learning_rate(model, x, y)
    print(f"the loss of this batch falls at learning rates below {eta:.3g}")
    ```
    """
    with autodiff.objective(model, loss):
        batch = to_tensors(model, x, y, sample_weight)
        check_model(model)
        if isinstance(direction, str):
            if direction != "update":
                raise ValueError(
                    "direction must be 'update', a list of arrays, or None for the "
                    f"gradient; received {direction!r}."
                )
            direction = update_direction(model, batch)
        elif direction is not None:
            direction = as_weights(model, direction, "direction")
            if not all(np.all(np.isfinite(d)) for d in to_host(direction)):
                raise ValueError("direction has entries that are NaN or infinite.")
        once(model, check_loss)(batch)
        return measure_critical_learning_rate(model, batch, direction)


def check_loss(model: keras.Model, batch: tuple) -> None:
    """Raises a ValueError unless two evaluations give the same loss."""
    direction = [ops.zeros(v.shape, v.dtype) for v in model.trainable_variables]
    loss = compiled_loss_along(model, batch, direction)
    first, second = loss(0.0), loss(0.0)
    if abs(first - second) > relative_tolerance(model) * abs(first):
        raise_changed(model, "loss")


def measure_critical_learning_rate(
    model: keras.Model,
    batch: tuple,
    direction: Sequence | None = None,
    first: float | None = None,
    weights: Sequence | None = None,
) -> float:
    """Computes the critical learning rate from validated arguments.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
        direction: d, one tensor or array per trainable variable; None for the gradient.
        first: First step to try. Defaults to the one that would bring the loss to zero
            if it fell linearly along the gradient.
        weights: W, or None for the present values.
    """
    gradient = None

    def differentiate():
        return autodiff.compiled(model, gradient_at)(*batch, weights)

    if direction is None:
        direction = gradient = differentiate()
    host = to_host(direction)
    length = norm(host)
    loss = compiled_loss_along(model, batch, direction, weights)
    start = loss(0.0)
    if not np.isfinite(start) or not np.isfinite(length):
        return np.nan
    if length == 0:
        return 0.0
    if first is None or not 0 < first < np.inf:
        first = abs(start) / length / length or 1 / length
    eta = _first_rise(lambda eta: loss(eta) - start, first)
    unit = rounding_unit(model)
    if eta == 0:
        # Either the loss rises from the start, or its fall is lost in rounding.
        gradient = to_host(differentiate() if gradient is None else gradient)
        falls = inner(host, gradient) > unit * length * norm(gradient)
        return np.nan if falls else 0.0
    if np.isfinite(eta) and start - loss(eta / 2) < _RESOLVED * unit * abs(start):
        return np.nan
    return eta


def _first_rise(change: Callable[[float], float], first: float) -> float:
    """Returns the smallest eta > 0 with change(eta) >= 0; NaN counts as positive.

    Returns:
        Infinity or 0.0 if `_DOUBLINGS` steps in one direction find none.
    """
    low = high = first
    low_change = high_change = change(first)
    if low_change < 0:
        for _ in range(_DOUBLINGS):
            high *= 2
            high_change = change(high)
            if not high_change < 0:
                break
            low, low_change = high, high_change
        else:
            return np.inf
    else:
        for _ in range(_DOUBLINGS):
            low /= 2
            low_change = change(low)
            if low_change < 0:
                break
            high, high_change = low, low_change
        else:
            return 0.0
    while high > _RATIO * low:
        middle = np.sqrt(low * high)
        middle_change = change(middle)
        if middle_change < 0:
            low, low_change = middle, middle_change
        else:
            high, high_change = middle, middle_change
    if not np.isfinite(high_change):
        return float(high)
    # The slope of the secant from 0 is linear in eta if the loss is quadratic.
    low_slope, high_slope = low_change / low, high_change / high
    return float(low + (high - low) * low_slope / (low_slope - high_slope))


def compiled_loss_along(
    model: keras.Model,
    batch: tuple,
    direction: Sequence,
    weights: Sequence | None = None,
) -> Callable[[float], float]:
    """Returns the function eta -> L(W - eta d).

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
        direction: d, one tensor per trainable variable.
        weights: W, or None for the present values.
    """
    evaluate = autodiff.compiled(model, _loss_at)
    dtype = accumulation_dtype(model.trainable_variables)
    length = norm(to_host(direction))
    if 0 < length < np.inf:
        # Along a gradient of 1e-20, say, eta alone may be beyond the range of float32.
        scale = ops.convert_to_tensor(length, dtype)
        direction = [ops.cast(d, dtype) / scale for d in direction]
    else:
        length = 1.0

    def loss_along(eta):
        step = ops.convert_to_tensor(eta * length, dtype)
        return float(evaluate(*batch, direction, step, weights))

    return loss_along


def _loss_at(model, weights, state, x, y, sample_weight, direction, step, given):
    moved = [
        w - ops.cast(step, w.dtype) * ops.cast(d, w.dtype)
        for w, d in zip(weights if given is None else given, direction, strict=True)
    ]
    return autodiff.value(model, moved, state, x, y, sample_weight)
