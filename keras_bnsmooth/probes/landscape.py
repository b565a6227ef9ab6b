"""The loss landscape along a direction (section 3.2 of the paper)."""

import dataclasses
import weakref
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.probes import lanczos
from keras_bnsmooth.probes.arguments import check_model, to_tensors
from keras_bnsmooth.probes.determinism import (
    always_rounds_alike,
    raise_changed,
    relative_tolerance,
)
from keras_bnsmooth.probes.directions import random_direction, update_direction
from keras_bnsmooth.probes.rounding import rounding_noise, rounding_unit
from keras_bnsmooth.probes.vector_norms import (
    accumulation_dtype,
    differences,
    norm,
    norm_on_device,
    scaled_squares,
)


@dataclasses.dataclass(frozen=True)
class Landscape:
    """Loss and gradient along a direction.

    W are all trainable weights, L is the training loss on the batch, g = grad L(W),
    d is the direction (by default g), and || . || is the l2 norm over all weights
    together. With `direction="update"`, d = W - W' is the optimizer's step.

    Attributes:
        loss: L(W).
        gradient_norm: ||g||.
        direction_norm: ||d||; that of g along random directions.
        step_sizes: s, float64 [K], as given.
        losses: Loss landscape L(W - s d), float64 [K]. Its range is the band of
            figures 4a, 9a, 11 and 12.
        losses_resolved: bool [K]. False if the loss is not finite, or differs from L(W)
            by less than four units in the last place, which may be rounding.
        gradient_distances: Gradient predictiveness ||grad L(W - s d) - g||,
            float64 [K]: figures 4b, 9b and 10.
        resolved: bool [K]. False if the gradient distance is not finite, or if more
            than a twentieth of it may be rounding, as happens for steps hardly longer
            than the spacing of floating-point numbers around the weights.
        betas: ||grad L(W - s d) - g|| / (s ||d||), float64 [K]; NaN where not resolved,
            where s or d is zero.
        beta: Effective beta-smoothness, the largest of `betas`: figures 4c and 9c. NaN
            if all are.
        beta_step_size: The s at which it is attained, or NaN.
        beta_over_range: The largest resolved gradient distance over the largest
            distance moved, s ||d||, which is how the caption of figure 4 can also be
            read. NaN if no step size is resolved or d is zero.
        saturated: Whether, at the smallest resolved s, the gradient has changed by 0.9
            of its own length or more. Then beta is about ||g|| / (s ||d||), which is
            1 / s along the gradient, whatever the curvature, which smaller step sizes,
            or `kb.probes.sharpness`, would tell.
    """

    loss: float
    gradient_norm: float
    direction_norm: float
    step_sizes: np.ndarray
    losses: np.ndarray
    losses_resolved: np.ndarray
    gradient_distances: np.ndarray
    resolved: np.ndarray
    betas: np.ndarray
    beta: float
    beta_step_size: float
    beta_over_range: float
    saturated: bool

    @property
    def note(self) -> str:
        """What numbers cannot be relied on and why, in sentences; "" if all can."""
        count, moved = len(self.step_sizes), self.step_sizes > 0
        if not np.isfinite(self.loss):
            return "The loss is not finite."
        if not moved.any():
            return "All step sizes are zero, so there is no beta."
        if self.direction_norm == 0:
            what = "update" if self.gradient_norm else "gradient"
            return f"The {what} is zero, so there is no beta."
        sentences = []
        unresolved = np.sum(moved & ~self.resolved)
        if unresolved:
            sentences.append(
                f"At {unresolved} of {count} step sizes the change of the gradient is "
                "not finite or may be rounding; beta does without them."
            )
        unresolved = np.sum(moved & ~self.losses_resolved)
        if unresolved:
            sentences.append(
                f"At {unresolved} of {count} step sizes the loss is not finite, or its "
                "change may be rounding."
            )
        if self.saturated:
            sentences.append(
                "The gradient has turned completely at the smallest step size already, "
                "so beta is about the gradient's length over the distance moved, "
                "whatever the curvature."
            )
        return " ".join(sentences)


# Units in the last place of the loss.
_LOSS_RESOLVED = 4
# The gradient has then changed by about its own length.
_SATURATED = 0.9
# A distance is resolved if it is this many times the rounding noise of gradients,
# which bounds its relative error, and so that of beta, by 5 %.
_RESOLVED = 20
# Float32 gradients were observed to be off by up to 1e-4 of their norm, about 1,000
# rounding units (25-layer linear network). Distances ten times `_RESOLVED` as long are
# resolved without measuring the noise, which takes time.
_SURELY_RESOLVED = 200_000
# Models that were seen to magnify rounding beyond that, whose noise is always measured.
_magnifying: weakref.WeakSet = weakref.WeakSet()


def landscape(
    model: keras.Model,
    x: Any,
    y: Any,
    step_sizes: Any,
    *,
    sample_weight: Any = None,
    direction: str = "gradient",
    seed: int = 0,
    loss: autodiff.Loss | None = None,
) -> Landscape:
    """Measures loss and gradient at weights moved along a direction.

    The loss is the one that training minimizes on this batch: in training mode, with
    regularizers, and with the same noise and dropout at every step size. Only trainable
    weights move.

    Costs K + 1 evaluations of loss and gradient, one after the other, and four more if
    some gradient distance is so short that it might be rounding. The first call for a
    compiled model also checks that evaluations agree, which costs K + 1 more.

    Args:
        model: A built, compiled `keras.Model`.
        x: Inputs of one batch, as `model.fit` takes them.
        y: Targets of the batch, or None if the model has none.
        step_sizes: Positive step sizes s, K of them.
        sample_weight: Weights of the samples, or None.
        direction: `"gradient"`, as in the paper; `"update"`, the step that the compiled
            optimizer would make now with the gradient of this batch; `"random"`,
            Gaussian; or `"filter_normalized_random"`, Gaussian with each filter as long
            as the corresponding filter of the weights (Li et al., 2018). Random
            directions have the length of the gradient, so the same step size covers the
            same distance. Momentum and Adam never step along the gradient, so prefer
            `"update"` there: step size 1 is the optimizer's own step, with learning
            rate, momentum, weight decay and clipping, and its state stays as it is. If
            it accumulates gradients, the gradient of this batch is taken for each that
            is still missing before the weights move. Costs one more gradient.
        seed: Integer that determines a random direction.
        loss: What to measure instead of the compiled loss, for a model that is trained
            by its own `train_step` or by a loop: a function
            `(model, x, y, sample_weight) -> scalar`, written with `keras.ops`. It calls
            `model(x, training=True)` or parts of the model, and adds `model.losses`
            where training does. It is evaluated at given weights and must change
            nothing outside of the model's variables, whose changes are discarded. On
            JAX, every variable that it reads must be one of the model's, for instance
            because the layer that owns it is an attribute of the model.

    Returns:
        A `Landscape`.

    Raises:
        ValueError: The model is not built, not compiled or has no trainable weights;
            it has its own `train_step`, and no `loss` is given; the loss is not a
            scalar; the batch does not fit the model; a step size is not positive and
            finite; the direction is unknown, or is the update of a model that has no
            optimizer or several; two evaluations at the same weights differ.

    Example:
    ```python
    learning_rate = 0.1
    r = kb.probes.landscape(model, x, y, learning_rate * np.geomspace(0.5, 4, 8))
    print(r.losses.min(), r.losses.max(), r.beta)
    ```
    """
    with autodiff.objective(model, loss):
        batch = to_tensors(model, x, y, sample_weight)
        check_model(model)
        step_sizes = check_step_sizes(step_sizes)
        random = random_direction(direction, model, seed)
        update = update_direction(model, batch) if direction == "update" else None
        once(model, check_landscape)(batch, len(step_sizes), random, update)
        return measure_landscape(model, batch, step_sizes, random, update)


def check_step_sizes(step_sizes: Any, name: str = "step_sizes") -> np.ndarray:
    """Returns step sizes as a float64 array [K], or raises a ValueError."""
    array = np.asarray(step_sizes, np.float64)
    positive = np.isfinite(array) & (array > 0)
    if array.ndim != 1 or not array.size or not positive.all():
        raise ValueError(
            f"{name} must be a list of positive, finite numbers; received {step_sizes}."
        )
    return array


def check_landscape(
    model: keras.Model, batch: tuple, count: int, *direction: list | None
) -> None:
    """Raises a ValueError unless L(W - 0 d) = L(W) and the gradients are equal.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
        count: Number of step sizes of later measurements.
        *direction: `random` and `update`, as in `measure_landscape`.
    """
    r = measure_landscape(model, batch, np.zeros(count), *direction)
    tolerance = relative_tolerance(model)
    loss_differs = np.abs(r.losses - r.loss) > tolerance * np.abs(r.loss)
    gradient_differs = r.gradient_distances > tolerance * r.gradient_norm
    if not np.any(loss_differs | gradient_differs):
        return
    _magnifying.add(model)
    again = measure_landscape(model, batch, np.zeros(count), *direction)
    if not always_rounds_alike(
        (r.loss, r.losses, r.gradient_distances),
        (again.loss, again.losses, again.gradient_distances),
    ):
        raise_changed(model, "loss or gradient")


def measure_landscape(
    model: keras.Model,
    batch: tuple,
    step_sizes: np.ndarray,
    random: list | None = None,
    update: list | None = None,
) -> Landscape:
    """Computes a `Landscape` from validated arguments.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
        step_sizes: float64 array [K]; may hold zeros, which have no beta.
        random: Direction of length 1, one array per trainable variable, to be
            multiplied by the length of the gradient; or None.
        update: Direction to be taken as it is, one tensor per trainable variable; or
            None. Without both it is the gradient.
    """
    step_values = ops.convert_to_tensor(
        step_sizes, accumulation_dtype(model.trainable_variables)
    )
    loss, squares, losses, of_distances = autodiff.compiled(model, _curve)(
        *batch, step_values, random, update
    )
    gradient_norm = float(norm(squares))
    direction_norm = gradient_norm
    if update is not None:
        direction_norm = lanczos.norm(lanczos.to_host(update))
    distances = norm(of_distances)
    loss = float(loss)
    losses = ops.convert_to_numpy(losses).astype(np.float64)

    unit = rounding_unit(model)
    change = np.abs(losses - loss)
    losses_resolved = np.isfinite(losses) & (
        change >= _LOSS_RESOLVED * unit * abs(loss)
    )
    resolved = np.isfinite(distances)
    close = distances < _SURELY_RESOLVED * unit * gradient_norm
    if np.any((close | (model in _magnifying)) & (step_sizes > 0)):
        resolved &= distances >= _RESOLVED * rounding_noise(model, batch, unit)
    return Landscape(
        loss=loss,
        gradient_norm=gradient_norm,
        direction_norm=direction_norm,
        step_sizes=step_sizes,
        losses=losses,
        losses_resolved=losses_resolved,
        gradient_distances=distances,
        resolved=resolved,
        **vars(
            smoothness(step_sizes, (gradient_norm, direction_norm), distances, resolved)
        ),
    )


@dataclasses.dataclass(frozen=True)
class Smoothness:
    """The attributes of `Landscape` that the others determine."""

    betas: np.ndarray
    beta: float
    beta_step_size: float
    beta_over_range: float
    saturated: bool


def smoothness(step_sizes, norms, gradient_distances, resolved) -> Smoothness:
    """Computes a `Smoothness` from attributes of a `Landscape`.

    The norms are those of the gradient and of the direction.
    """
    gradient_norm, direction_norm = norms
    moved = step_sizes * direction_norm
    known = np.flatnonzero(resolved & (moved > 0))
    betas = np.full(len(step_sizes), np.nan)
    if not known.size:
        return Smoothness(betas, np.nan, np.nan, np.nan, False)
    distances = gradient_distances[known]
    betas[known] = distances / moved[known]
    largest = np.nanargmax(betas)
    smallest = known[np.argmin(moved[known])]
    return Smoothness(
        betas=betas,
        beta=float(betas[largest]),
        beta_step_size=float(step_sizes[largest]),
        beta_over_range=float(distances.max() / moved[known].max()),
        saturated=bool(gradient_distances[smallest] >= _SATURATED * gradient_norm > 0),
    )


def _curve(model, weights, state, x, y, sample_weight, step_sizes, random, update):
    """Returns L(W), the squares of g [J, 2], L(W - s d) [K], those of g' - g [K, J, 2].

    Squares are those of `scaled_squares` for the J trainable variables, g' is the
    gradient at W - s d.
    """
    dtype = step_sizes.dtype
    batch = (x, y, sample_weight)
    loss, gradient = autodiff.value_and_grad(model, weights, state, *batch)
    squares = scaled_squares(gradient, dtype)
    direction = gradient if update is None else update
    if random is not None:
        length = norm_on_device(squares)
        direction = [ops.multiply(ops.cast(length, r.dtype), r) for r in random]

    def moved(step_size):
        return [
            w - ops.cast(step_size, w.dtype) * d
            for w, d in zip(weights, direction, strict=True)
        ]

    def at(step_size):
        # A local variable for the moved weights would keep their memory alive.
        loss, g = autodiff.value_and_grad(model, moved(step_size), state, *batch)
        loss = ops.reshape(ops.cast(loss, dtype), (1,))
        change = scaled_squares(differences(g, gradient), dtype)
        return ops.concatenate([loss, ops.reshape(change, (-1,))])

    curve = autodiff.sequential_map(at, step_sizes)
    changes = ops.reshape(curve[:, 1:], (-1, len(weights), 2))
    return loss, squares, curve[:, 0], changes
