"""Internal covariate shift as a change of gradients (Definition 2.1 of the paper)."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.probes.arguments import as_weights, check_model, to_tensors
from keras_bnsmooth.probes.determinism import (
    always_rounds_alike,
    raise_changed,
    relative_tolerance,
)
from keras_bnsmooth.probes.layer_list import weight_layers
from keras_bnsmooth.probes.vector_norms import (
    accumulation_dtype,
    cosine_and_distance,
    scaled_products,
)

# 1 - cosine is half the square of the angle, and rounded itself: in float32 this
# detects an angle of 0.005.
_COSINE_TOLERANCE_IN_UNITS = 1e2


# From here on, a graph of all layers takes minutes to compile on TensorFlow.
_MANY_LAYERS = 60


@dataclasses.dataclass(frozen=True)
class InternalCovariateShift:
    """Change of each layer's gradient when the layers before it move.

    For layer i, G_i is the gradient of the training loss with respect to the weights
    of i at W(t), and G'_i is the same gradient, on the same batch, with the weights of
    every layer before i moved to W(t+1).

    Attributes:
        layers: Names of the L layers measured, by default all that have trainable
            weights, in the order of `model.layers`, nested models flattened;
            normalization layers count.
        l2: ||G_i - G'_i||, float64 [L]: left panels of figures 3 and 6.
        cosine: cos(G_i, G'_i), float64 [L]: right panels of figures 3 and 6. NaN if
            one of the two gradients is zero.
    """

    layers: list[str]
    l2: np.ndarray
    cosine: np.ndarray

    @property
    def note(self) -> str:
        """What numbers are missing and why, in sentences; "" if none are."""
        return " ".join(
            f"{reason} in {', '.join(names)}."
            for reason, missing in (
                ("The gradient is not finite", ~np.isfinite(self.l2)),
                (
                    "The gradient before or after the step is zero, so there is no "
                    "cosine",
                    np.isfinite(self.l2) & np.isnan(self.cosine),
                ),
            )
            if (
                names := [
                    n for n, gone in zip(self.layers, missing, strict=True) if gone
                ]
            )
        )


def internal_covariate_shift(
    model: keras.Model,
    x: Any,
    y: Any,
    learning_rate: float | None = None,
    *,
    sample_weight: Any = None,
    weights: Sequence | None = None,
    next_weights: Sequence | None = None,
    layers: int | Iterable[str] | None = None,
    join_normalizations: bool = False,
    loss: autodiff.Loss | None = None,
) -> InternalCovariateShift:
    """Measures the internal covariate shift of layers that have weights.

    By default W(t) are the current weights of the model, and W(t+1) = W(t) - lr g is
    the step of gradient descent on the batch, as in Definition 2.1. To measure a step
    that an optimizer actually made, pass both of its ends:

    ```python
    before = [v.numpy() for v in model.trainable_variables]
    model.train_on_batch(x, y)
    r = kb.probes.internal_covariate_shift(
        model, x, y, weights=before, next_weights=model.trainable_variables
    )
    ```

    The loss is the training loss, as in `landscape`. Costs about a fifth of an
    evaluation of loss and gradient per layer on TensorFlow, half of one on PyTorch, and
    a whole one under XLA, on JAX, on several devices or for more than 60 layers, which
    would take minutes to compile otherwise. The first call for a compiled model costs
    twice as much, since it also checks that evaluations agree.

    Args:
        model: A built, compiled `keras.Model`.
        x: Inputs of one batch, as `model.fit` takes them.
        y: Targets of the batch, or None if the model has none.
        learning_rate: lr > 0. Pass either this or `next_weights`.
        sample_weight: Weights of the samples, or None.
        weights: W(t), one array per variable in `model.trainable_variables`; defaults
            to the current weights.
        next_weights: W(t+1), one array per trainable variable; defaults to
            W(t) - lr g.
        layers: Names of the layers to measure, or a number of layers evenly spaced in
            depth, of which the last is the model's; by default all. They are compared
            as if all were: every layer before them moves.
        join_normalizations: The paper does not say whether gamma and beta are a layer
            of their own, as here by default, or weights of the layer before the
            normalization, which moves and is measured with them if this is true.
        loss: What to measure instead of the compiled loss, a function
            `(model, x, y, sample_weight) -> scalar`, see `landscape`.

    Returns:
        An `InternalCovariateShift`.

    Raises:
        ValueError: The model is not built, not compiled or has no trainable weights;
            the batch does not fit it; the learning rate is not positive and finite;
            both or neither of `learning_rate` and `next_weights` are given; arrays do
            not have the shapes of the weights; there are no such layers; two
            evaluations at the same weights differ.

    Example:
    ```python
    r = kb.probes.internal_covariate_shift(model, x, y, learning_rate=0.1)
    for name, l2, cosine in zip(r.layers, r.l2, r.cosine):
        print(f"{name:20} {l2:10.3g} {cosine:6.3f}")
    ```
    """
    with autodiff.objective(model, loss):
        batch = to_tensors(model, x, y, sample_weight)
        check_model(model)
        layers = check_layers(layers)
        if (learning_rate is None) == (next_weights is None):
            raise ValueError("Pass either learning_rate or next_weights, and not both.")
        if learning_rate is not None and not (
            np.isfinite(learning_rate) and learning_rate > 0
        ):
            raise ValueError(
                f"learning_rate must be positive and finite; received {learning_rate}."
            )
        if weights is not None:
            weights = as_weights(model, weights)
        if next_weights is not None:
            next_weights = as_weights(model, next_weights, "next_weights")
        if next_weights is None:
            no_step: dict = {"learning_rate": 0.0, "weights": weights}
        else:
            no_step = {"weights": next_weights, "next_weights": next_weights}
        no_step |= {"layers": layers, "join_normalizations": join_normalizations}
        once(model, check_covariate_shift)(batch, no_step)
        step = (learning_rate, weights, next_weights)
        return measure_covariate_shift(model, batch, *step, layers, join_normalizations)


def check_covariate_shift(
    model: keras.Model, batch: tuple, no_step: dict[str, Any]
) -> None:
    """Raises a ValueError unless G' = G when no weight moves.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
        no_step: A step of length zero, as arguments of `measure_covariate_shift`.
    """
    r = measure_covariate_shift(model, batch, **no_step, stays=True)
    if not np.any(r.cosine < 1 - relative_tolerance(model, _COSINE_TOLERANCE_IN_UNITS)):
        return
    again = measure_covariate_shift(model, batch, **no_step, stays=True)
    if not always_rounds_alike((r.l2, r.cosine), (again.l2, again.cosine)):
        raise_changed(model, "gradient")
    raise ValueError(
        f"rounding alone turns gradients of {model.name} by a cosine of "
        f"{np.min(r.cosine):.4g}, which hides what the layers before do; measure on a "
        "larger batch, or in float64"
    )


def measure_covariate_shift(
    model: keras.Model,
    batch: tuple,
    learning_rate: float | None = None,
    weights: Sequence | None = None,
    next_weights: Sequence | None = None,
    layers: int | tuple[str, ...] | None = None,
    join_normalizations: bool = False,
    stays: bool = False,
) -> InternalCovariateShift:
    """Computes an `InternalCovariateShift` from validated arguments.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
        learning_rate: Float, may be zero; None if `next_weights` are given.
        weights: Tensors; None for the current weights.
        next_weights: Tensors; None for the step of gradient descent.
        layers: Names, a number, or None for all.
        join_normalizations: Whether normalizations belong to the layers before them.
        stays: Whether the step has length zero, so that one gradient may do for all
            layers.
    """
    chosen = _choose(weight_layers(model, join_normalizations), layers)
    if learning_rate is not None:
        learning_rate = ops.convert_to_tensor(
            learning_rate, accumulation_dtype(model.trainable_variables)
        )
    step = (learning_rate, weights, next_weights)
    if autodiff.prefers_small_graphs(model) or len(chosen) > _MANY_LAYERS:
        products = _one_layer_at_a_time(model, batch, step, chosen, stays)
    else:
        products = autodiff.compiled(model, _all_layers, layers=chosen)(*batch, *step)
    cosine, l2 = np.transpose([cosine_and_distance(of_layer) for of_layer in products])
    return InternalCovariateShift(
        layers=[layer.name for layer in chosen], l2=l2, cosine=cosine
    )


def check_layers(layers: Any) -> int | tuple[str, ...] | None:
    """Returns the argument `layers`, names as a tuple, or raises a ValueError."""
    if layers is None:
        return None
    if isinstance(layers, (int, np.integer)) and layers > 0:
        return int(layers)
    names = () if isinstance(layers, (str, int)) else tuple(layers)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            "layers must be a list of names or a positive number of layers; received "
            f"{layers!r}."
        )
    return names


class _Layer(NamedTuple):
    """A layer to measure: its weights, and those of all layers before it."""

    name: str
    positions: tuple[int, ...]
    before: tuple[int, ...]


def _choose(weight_layers, layers):
    """Returns a tuple of `_Layer`, in the order of the model."""
    found = []
    before: tuple[int, ...] = ()
    for layer in weight_layers:
        found.append(_Layer(layer.name, layer.positions, before))
        before += layer.positions
    if layers is None:
        return tuple(found)
    if isinstance(layers, int):
        last = len(found) - 1
        places = {round(last * (i + 1) / layers) for i in range(layers)}
        return tuple(found[place] for place in sorted(places))
    names = [layer.name for layer in found]
    if unknown := [name for name in layers if name not in names]:
        raise ValueError(
            f"there is no layer {unknown[0]} with weights; layers with weights are "
            f"{', '.join(names)}."
        )
    return tuple(layer for layer in found if layer.name in layers)


def _step(model, weights, state, batch, learning_rate, given_weights, next_weights):
    """Returns W(t), G at W(t), and W(t+1)."""
    weights = weights if given_weights is None else given_weights
    _, gradient = autodiff.value_and_grad(model, weights, state, *batch)
    if next_weights is None:
        next_weights = [
            w - ops.cast(learning_rate, w.dtype) * g
            for w, g in zip(weights, gradient, strict=True)
        ]
    return weights, gradient, next_weights


def _all_layers(model, weights, state, x, y, sample_weight, *step, layers):
    """Returns `scaled_products` of each layer, L of them, from one graph of all layers.

    In it, G'_i and the gradients after it share the forward pass through the layers
    before i, and G'_i needs the backward pass down to layer i only.
    """
    dtype = accumulation_dtype(model.trainable_variables)
    batch = (x, y, sample_weight)
    weights, gradient, next_weights = _step(model, weights, state, batch, *step)

    def products(layer, moved):
        g = [gradient[i] for i in layer.positions]
        return scaled_products(g, moved, dtype)

    rows = []
    computed = [gradient]
    for layer in layers:
        if not layer.before:  # G' = G
            rows.append(products(layer, [gradient[i] for i in layer.positions]))
            continue
        # The pass for layer i waits for the gradient of layer i - 2: two concurrent
        # passes keep all cores busy, and more would multiply peak memory.
        waiting = autodiff.optimization_barrier(weights, computed[-2:][0])
        mixed = [
            next_weights[i] if i in layer.before else waiting[i]
            for i in range(len(weights))
        ]
        _, moved = autodiff.value_and_grad(
            model, mixed, state, *batch, with_respect_to=layer.positions
        )
        rows.append(products(layer, moved))
        computed.append(moved)
    return rows


def _one_layer_at_a_time(model, batch, step, layers, stays):
    """Returns `scaled_products` of each layer, L of them, from a gradient per layer.

    Compile time of a graph of all layers may grow with the square of their number, to
    hours. Here a single gradient is compiled and serves every layer. Where no weight
    moves, a single one is evaluated, too.
    """
    weights, gradient, next_weights, of_gradient = autodiff.compiled(model, _start)(
        *batch, *step
    )
    move = autodiff.compiled(model, _moved_products)
    rows, of_moved = [], None
    for layer in layers:
        if layer.before and not (stays and of_moved is not None):
            before = np.zeros(len(weights), bool)
            before[list(layer.before)] = True
            mask = ops.convert_to_tensor(before)
            of_moved = move(*batch, weights, gradient, next_weights, mask)
        products = of_moved if layer.before else of_gradient  # G' = G
        rows.append(ops.convert_to_numpy(products)[list(layer.positions)])
    return rows


def _start(model, weights, state, x, y, sample_weight, *step):
    batch = (x, y, sample_weight)
    weights, gradient, next_weights = _step(model, weights, state, batch, *step)
    dtype = accumulation_dtype(model.trainable_variables)
    return weights, gradient, next_weights, scaled_products(gradient, gradient, dtype)


def _moved_products(
    model, _, state, x, y, sample_weight, weights, gradient, next_weights, before
):
    mixed = [
        ops.where(before[i], moved, w)
        for i, (w, moved) in enumerate(zip(weights, next_weights, strict=True))
    ]
    _, moved = autodiff.value_and_grad(model, mixed, state, x, y, sample_weight)
    return scaled_products(
        gradient, moved, accumulation_dtype(model.trainable_variables)
    )
