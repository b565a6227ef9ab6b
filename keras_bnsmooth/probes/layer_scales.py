"""Norms of each layer's weights, gradient and update, and its effective rate."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import ml_dtypes
import numpy as np

from keras_bnsmooth import autodiff, keras_model
from keras_bnsmooth.probes.arguments import check_model, check_weights, to_tensors
from keras_bnsmooth.probes.internal_covariate_shift import as_weights
from keras_bnsmooth.probes.lanczos import norm
from keras_bnsmooth.probes.layer_list import weight_layers
from keras_bnsmooth.probes.scale_invariance import scale_invariant_weights

# A gradient norm recovered from an update may be off by this share of itself.
_TOLERANCE = 0.05


@dataclasses.dataclass(frozen=True)
class LayerScales:
    """Norms of each layer at one update of the weights, from W to W'.

    All norms are l2 norms over all trainable weights of a layer together, kernel and
    bias, accumulated in float64.

    Attributes:
        layers: Names of the L layers that have trainable weights, in the order of
            `model.layers`, nested models flattened; normalization layers count.
        weight_norm: ||W||, float64 [L].
        gradient_norm: ||g||, float64 [L]; NaN where it is not known.
        update_ratio: ||W' - W|| / ||W||, float64 [L]. Where all weights are zero, as
            those of a beta at its start, infinity, or NaN for an update of zero.
        effective_learning_rate: lr / ||W||^2, float64 [L], for layers that a
            normalization follows, and NaN for others. A normalization makes the loss
            independent of the length of W, so a step turns W by an angle that is
            proportional to this rate. Here W is what the normalization makes
            scale-invariant: the kernel alone where the normalization subtracts the
            bias, see `probes/scale_invariance.py`.
        distance: ||W - W(0)||, float64 [L], the distance from the initial weights; NaN
            if they are not known.
        total_distance: The same for all weights together.
    """

    layers: list[str]
    weight_norm: np.ndarray
    gradient_norm: np.ndarray
    update_ratio: np.ndarray
    effective_learning_rate: np.ndarray
    distance: np.ndarray

    @property
    def total_distance(self) -> float:
        """See above."""
        return norm([self.distance])

    @property
    def note(self) -> str:
        """What numbers are missing and why, in sentences; "" if none are."""
        names = ", ".join(
            name
            for name, length in zip(self.layers, self.gradient_norm, strict=True)
            if np.isnan(length)
        )
        if not names:
            return ""
        return (
            f"The gradient of {names} is not known: the update of this optimizer does "
            "not tell it, or is rounded too much. Measured on a batch it is known."
        )


def layer_scales(
    model: keras.Model,
    weights: Sequence,
    next_weights: Sequence,
    learning_rate: float,
    *,
    x: Any = None,
    y: Any = None,
    sample_weight: Any = None,
    initial_weights: Sequence | None = None,
    loss: autodiff.Loss | None = None,
) -> LayerScales:
    """Measures the scales of every layer at an update that an optimizer made.

    Given a batch, g is the gradient of the training loss on it at `weights`, which
    costs one evaluation of loss and gradient. Without one, nothing is differentiated:
    plain SGD moves the weights by -lr g, so g = (W - W') / lr is the gradient on
    training's own batch. That holds for `keras.optimizers.SGD` without momentum, weight
    decay, clipping, accumulation and averages that overwrite the weights; for others,
    and for layers with constraints, g is NaN. It is NaN too where rounding W' could
    have changed ||g|| by more than 5 %, which it does by up to eps / 2 ||W'||.

    The effective learning rate is that of Kodryan et al., 2022
    ([arXiv:2209.03695](https://arxiv.org/abs/2209.03695)).

    Args:
        model: A built, compiled `keras.Model`.
        weights: W, one array per variable in `model.trainable_variables`.
        next_weights: W', likewise.
        learning_rate: lr, the learning rate of the update.
        x: Inputs of one batch, as `model.fit` takes them, or None.
        y: Targets of the batch, or None if the model has none.
        sample_weight: Weights of the samples, or None.
        initial_weights: W(0), from which the distance is measured, or None.
        loss: What to measure instead of the compiled loss, a function
            `(model, x, y, sample_weight) -> scalar`, see `landscape`.

    Returns:
        A `LayerScales`.

    Raises:
        ValueError: The model is not built, not compiled or has no trainable weights;
            the batch does not fit it; arrays do not have the shapes of the weights.

    Example:
    ```python
    before = [v.numpy() for v in model.trainable_variables]
    model.train_on_batch(x, y)
    after = model.trainable_variables
    r = kb.probes.layer_scales(model, before, after, learning_rate=0.1)
    for name, ratio in zip(r.layers, r.update_ratio):
        print(f"{name:20} moved by {ratio:.2%}")
    ```
    """
    with autodiff.objective(model, loss):
        batch = None if x is None else to_tensors(model, x, y, sample_weight)
        if x is None:
            check_weights(model)
        else:
            check_model(model)
        weights = _to_arrays(as_weights(model, weights))
        next_weights = _to_arrays(as_weights(model, next_weights, "next_weights"))
        if initial_weights is not None:
            initial = as_weights(model, initial_weights, "initial_weights")
            initial_weights = _to_arrays(initial)
        return measure_layer_scales(
            model, weights, next_weights, learning_rate, batch, initial_weights
        )


def measure_layer_scales(
    model: keras.Model,
    weights: Sequence[np.ndarray],
    next_weights: Sequence[np.ndarray],
    learning_rate: float,
    batch: tuple | None = None,
    initial_weights: Sequence[np.ndarray] | None = None,
) -> LayerScales:
    """Computes `LayerScales` from validated arguments.

    Args:
        model: The model.
        weights: Arrays, W.
        next_weights: Arrays, W'.
        learning_rate: Float.
        batch: (x, y, sample_weight) as tensors, or None.
        initial_weights: Arrays, W(0), or None.
    """
    layers = weight_layers(model)
    weight_norm = _norms(layers, weights)
    move = _distances(layers, weights, next_weights)
    distance = np.full(len(layers), np.nan)
    if initial_weights is not None:
        distance = _distances(layers, initial_weights, weights)
    if batch is None:
        gradient_norm = _recovered(model, layers, next_weights, move, learning_rate)
    else:
        gradient = autodiff.compiled(model, _gradient)(
            *batch, as_weights(model, weights)
        )
        gradient_norm = _norms(layers, _to_arrays(gradient))
    with np.errstate(divide="ignore", invalid="ignore"):
        return LayerScales(
            layers=[layer.name for layer in layers],
            weight_norm=weight_norm,
            gradient_norm=gradient_norm,
            update_ratio=move / weight_norm,
            effective_learning_rate=_effective_rates(
                model, layers, weights, learning_rate
            ),
            distance=distance,
        )


def _recovered(model, layers, next_weights, move, learning_rate):
    """Returns ||g|| = ||W - W'|| / lr per layer, and NaN where that is not known."""
    eps = [float(ml_dtypes.finfo(v.dtype).eps) for v in model.trainable_variables]
    rounding = _norms(
        layers,
        (e / 2 * w for e, w in zip(eps, _wide(next_weights), strict=True)),
    )
    free = [v.constraint is None for v in model.trainable_variables]
    known = rounding <= _TOLERANCE * move
    known &= [all(free[i] for i in layer.positions) for layer in layers]
    known &= _is_plain_sgd(keras_model.inner_optimizers(model))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(known, move / learning_rate, np.nan)


def _is_plain_sgd(optimizers):
    """Whether a single optimizer moves the weights by -lr g, with g of one batch."""
    if len(optimizers) != 1:
        return False
    (optimizer,) = optimizers
    return (
        # Not a subclass; Keras has one of its own on torch.
        type(optimizer) is type(keras.optimizers.SGD())
        and not optimizer.momentum
        and not optimizer.weight_decay
        and not optimizer.clipnorm
        and not optimizer.clipvalue
        and not optimizer.global_clipnorm
        and not optimizer.gradient_accumulation_steps
        and not (optimizer.use_ema and optimizer.ema_overwrite_frequency)
    )


def _effective_rates(model, layers, weights, learning_rate):
    """Returns lr / ||W||^2 of the scale-invariant weights of each layer, or NaN."""
    lengths = np.full(len(layers), np.nan)
    for positions in scale_invariant_weights(model):
        for i, layer in enumerate(layers):
            if positions[0] in layer.positions:
                lengths[i] = norm(list(_wide(weights[j] for j in positions)))
    return learning_rate / lengths / lengths


def _gradient(model, _, state, x, y, sample_weight, weights):
    return autodiff.value_and_grad(model, weights, state, x, y, sample_weight)[1]


def _norms(layers, arrays):
    """Returns the norm of each layer from the arrays of all variables."""
    norms = np.array([norm([array]) for array in _wide(arrays)])
    return np.array([norm([norms[list(layer.positions)]]) for layer in layers])


def _distances(layers, arrays, others):
    pairs = zip(_wide(arrays), _wide(others), strict=True)
    return _norms(layers, (b - a for a, b in pairs))


def _wide(arrays):
    return (a.astype(np.float64) for a in arrays)


def _to_arrays(tensors):
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]
