"""Noise of the gradient from batch to batch, and the noise scale."""

import dataclasses
from collections.abc import Iterable, Mapping

import keras
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff, keras_model
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.probes.arguments import check_model, prepare
from keras_bnsmooth.probes.determinism import raise_changed, relative_tolerance
from keras_bnsmooth.probes.lanczos import Vector, add_scaled, norm, to_host
from keras_bnsmooth.probes.layer_list import weight_layers

# Each batch has its own stretch of the random numbers that layers draw.
_DRAWS_PER_BATCH = 2**16


@dataclasses.dataclass(frozen=True)
class GradientNoise:
    """Noise of the gradient over n batches of b samples, at the same weights.

    G_1, ..., G_n are the gradients of the training loss on the batches, each with its
    own draw of noise and dropout. If G_k is a mean over samples, then E G_k = g, the
    gradient of the expected loss, and Cov G_k = S / b, where S is the covariance of a
    single sample's gradient. The estimates of ||g||^2 and tr S have no bias.

    With batch normalization, G_k is not a mean over samples: a sample's gradient
    depends on the samples next to it. Then g is the expected gradient of batches of
    this size, S is b times the covariance of such gradients, and neither holds at other
    sizes. Measure with the batch size of training, and take the noise scale for what it
    is there: b times the ratio of noise to signal in one step.

    Attributes:
        signal: Estimate of ||g||^2; negative where noise hides the gradient.
        variance: Estimate of tr S.
        noise_scale: tr S / ||g||^2, the simple noise scale of McCandlish et al., 2018
            (arXiv 1812.06162, appendix A): the batch size at which noise and signal are
            of one size. Infinite where the estimate of ||g||^2 is not positive.
        cosine: Mean cosine between the gradients of two batches, NaN if one is zero.
        layers: Names of the L layers that have trainable weights, as in `LayerScales`.
        layer_signal: As above for the weights of each layer alone, float64 [L].
        layer_variance: Likewise.
        layer_noise_scale: Likewise.
        layer_cosine: Likewise.
        batches: n.
        batch_size: b; the mean if the sizes differ.
    """

    signal: float
    variance: float
    noise_scale: float
    cosine: float
    layers: list[str]
    layer_signal: np.ndarray
    layer_variance: np.ndarray
    layer_noise_scale: np.ndarray
    layer_cosine: np.ndarray
    batches: int
    batch_size: float

    @property
    def note(self) -> str:
        """What numbers cannot be relied on and why, in sentences; "" if all can."""
        if np.isnan(self.signal):
            return "The gradient is not finite on every batch, so it has no noise."
        subtracted = self.variance / (self.batches * self.batch_size)
        if self.signal >= subtracted:
            return ""
        return (
            f"The mean of {self.batches} batches is more noise than gradient, whose "
            f"squared norm is estimated as {self.signal:.2g} after subtracting "
            f"{subtracted:.2g} of noise. The noise scale is rough; take more batches."
        )


def gradient_noise(
    model: keras.Model, batches: Iterable, *, loss: autodiff.Loss | None = None
) -> GradientNoise:
    """Measures signal and noise of the gradient over several batches.

    Costs one gradient per batch. Memory does not grow with the number of batches:
    beyond what a gradient needs, it is four copies of the weights on the host (the
    gradient, its running mean, and two sums of unit vectors, for the cosines).

    The numbers that layers draw from a `keras.random.SeedGenerator`, as for dropout,
    differ from batch to batch, as in training. Those drawn elsewhere are the same.

    The first call for a compiled model also checks that evaluations agree.

    Args:
        model: A built, compiled `keras.Model`.
        batches: Iterable of two or more batches (x, y) or (x, y, sample_weight), such
            as a list or a `tf.data.Dataset`, drawn independently and of one size. A
            smaller last one is weighted by its size, which is exact for gradients that
            are means over samples.
        loss: What to measure instead of the compiled loss, a function
            `(model, x, y, sample_weight) -> scalar`, see `landscape`.

    Returns:
        A `GradientNoise`.

    Raises:
        ValueError: The model is not built, not compiled or has no trainable weights;
            there are fewer than two batches, or one does not fit the model; two
            evaluations at the same weights differ.

    Example:
    ```python
    batches = [(x[i : i + 128], y[i : i + 128]) for i in range(0, 2048, 128)]
    r = kb.probes.gradient_noise(model, batches)
    print(f"batches beyond {r.noise_scale:.0f} samples hardly pay off")
    ```
    """
    with autodiff.objective(model, loss):
        return measure_gradient_noise(model, _to_tensors(model, batches))


def check_gradient_noise(model: keras.Model, batch: tuple) -> None:
    """Raises a ValueError unless a model has a gradient, always the same.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
    """
    check_model(model)
    once(model, _check)(batch)


def _check(model, batch):
    first, second = (_gradient(model, batch, 0) for _ in range(2))
    length = norm(first)
    add_scaled(second, -1, first)
    if norm(second) > relative_tolerance(model) * length:
        raise_changed(model, "gradient")


def measure_gradient_noise(
    model: keras.Model, batches: Iterable[tuple]
) -> GradientNoise:
    """Computes a `GradientNoise` from batches of tensors.

    The mean and the squared distances from it are updated batch by batch (Welford,
    1962): differences of sums of squares would cancel where the noise is small.

    Args:
        model: The model.
        batches: Batches (x, y, sample_weight) as tensors, at least two.
    """
    layers = weight_layers(model)
    everything = range(len(model.trainable_variables))
    groups = [*(layer.positions for layer in layers), everything]
    mean: Vector = []
    spread, samples, count = np.zeros(len(groups)), 0, 0
    with np.errstate(all="ignore"):
        for batch in batches:
            gradient = _gradient(model, batch, count)
            size = _length(model, batch)
            count, samples = count + 1, samples + size
            if not mean:
                # Sums of G_k / ||G_k||, with the length of each layer and of all.
                mean, units, units_of_layers = (
                    [np.zeros_like(part) for part in gradient] for _ in range(3)
                )
            *lengths, length = _norms(gradient, groups)
            add_scaled(units, float(1 / length), gradient)
            for positions, length in zip(groups, lengths, strict=False):
                for i in positions:
                    units_of_layers[i] += float(1 / length) * gradient[i]
            add_scaled(gradient, -1, mean)
            add_scaled(mean, size / samples, gradient)
            spread += size * (1 - size / samples) * _norms(gradient, groups) ** 2
        if count < 2:
            raise ValueError(
                f"gradient noise takes at least two batches; received {count}."
            )
        variance = spread / (count - 1)
        signal = _norms(mean, groups) ** 2 - variance / samples
        # Both are zero where the loss does not depend on a layer.
        scale = np.where(signal < 0, np.inf, variance / signal)
        sums = np.append(_norms(units_of_layers, groups[:-1]), norm(units))
        cosine = np.clip((sums**2 - count) / (count * (count - 1)), -1.0, 1.0)
    return GradientNoise(
        signal=float(signal[-1]),
        variance=float(variance[-1]),
        noise_scale=float(scale[-1]),
        cosine=float(cosine[-1]),
        layers=[layer.name for layer in layers],
        layer_signal=signal[:-1],
        layer_variance=variance[:-1],
        layer_noise_scale=scale[:-1],
        layer_cosine=cosine[:-1],
        batches=count,
        batch_size=samples / count,
    )


def _to_tensors(model, batches):
    """Yields batches as tensors; the first one is checked."""
    if hasattr(batches, "shape") or isinstance(batches, (tuple, Mapping)):
        raise ValueError(
            "batches must be several batches, such as a list of (x, y) or a "
            f"tf.data.Dataset; received a {type(batches).__name__}."
        )
    for batch in batches:
        as_arrays = isinstance(batches, list)
        tensors = keras_model.batch_to_tensors(batch, as_arrays=as_arrays)
        tensors = prepare(model, tensors)
        check_gradient_noise(model, tensors)
        yield tensors


def _gradient(model, batch, number):
    """Returns the gradient on the host, with the numbers drawn for this batch."""
    number = ops.convert_to_tensor(number, "int32")
    return to_host(autodiff.compiled(model, _gradient_of_number)(*batch, number))


def _gradient_of_number(model, weights, state, x, y, sample_weight, number):
    state = [
        value + ops.cast(number, value.dtype) * _offset(value.dtype)
        if variable.name == "seed_generator_state"
        else value
        for variable, value in zip(model.non_trainable_variables, state, strict=True)
    ]
    return autodiff.value_and_grad(model, weights, state, x, y, sample_weight)[1]


def _offset(dtype):
    # The second number of a state counts draws.
    return ops.convert_to_tensor([0, _DRAWS_PER_BATCH], dtype)


def _length(model, batch):
    """Returns the number of samples, which several devices may share."""
    x, y, _ = batch
    leaf = keras.tree.flatten(x if y is None else y)[0]
    ones = autodiff.run_on_replicas(model, lambda t: ops.ones(ops.shape(t)[:1]), leaf)
    return int(ones.shape[0])


def _norms(vector, groups):
    return np.array([norm([vector[i] for i in positions]) for positions in groups])
