"""Models without the derivatives of their loss are refused, and no others."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_bnsmooth import probes

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 6)), RNG.integers(0, 3, 16)


def measure(*stack):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5), *stack, layers.Dense(3)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    return probes.sharpness(model, X, Y, iterations=30)


class KerasCustomGradient(layers.Layer):
    """Squares; the gradient is right, its derivative is zero."""

    def call(self, x):
        @ops.custom_gradient
        def square(x):
            def gradient(*arguments, upstream=None):
                upstream = arguments[0] if upstream is None else upstream
                return upstream * 2 * ops.stop_gradient(x)

            return x * x, gradient

        return square(x)


class NativeCustomGradient(layers.Layer):
    def call(self, x):
        return {
            "tensorflow": _tensorflow_square,
            "jax": _jax_square,
            "torch": _torch_square,
        }[BACKEND](x)


def _tensorflow_square(x):
    import tensorflow as tf

    @tf.custom_gradient
    def square(x):
        return x * x, lambda upstream: upstream * 2 * tf.stop_gradient(x)

    return square(x)


def _jax_square(x):
    import jax

    @jax.custom_vjp
    def square(x):
        return x * x

    square.defvjp(
        lambda x: (x * x, jax.lax.stop_gradient(x)),
        lambda x, upstream: (upstream * 2 * x,),
    )
    return square(x)


def _torch_square(x):
    import torch

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(context, upstream):
            return upstream * 2 * context.saved_tensors[0].detach()

    return Square.apply(x)


class HeldMean(layers.Layer):
    """Normalizes with the mean held constant in the variance, like tf.nn.moments."""

    def call(self, x):
        mean = ops.mean(x, axis=0, keepdims=True)
        square = ops.square(x - ops.stop_gradient(mean))
        variance = ops.mean(square, axis=0, keepdims=True)
        return (x - mean) / ops.sqrt(variance + 1e-3)


class StraightThrough(layers.Layer):
    def call(self, x):
        return x + ops.stop_gradient(ops.round(x) - x)


class HalfStopped(layers.Layer):
    def call(self, x):
        return 0.5 * x + 0.5 * ops.stop_gradient(x)


REFUSED = {
    "keras_custom_gradient": (KerasCustomGradient, "defines its own gradient"),
    "native_custom_gradient": (NativeCustomGradient, "defines its own gradient"),
    "held_mean": (HeldMean, "stops gradients"),
    "straight_through": (StraightThrough, "stops gradients"),
    "half_stopped": (HalfStopped, "stops gradients"),
    "spectral": (lambda: layers.SpectralNormalization(layers.Dense(4)), "by design"),
}
if hasattr(layers.BatchNormalization(), "renorm"):  # since Keras 3.14
    REFUSED["renorm"] = (lambda: layers.BatchNormalization(renorm=True), "by design")


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name):
    layer, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as raised:
        measure(layer())
    assert "\n" not in str(raised.value)
    assert "curvature cannot be measured" in str(raised.value)


@pytest.mark.tensorflow
def test_the_layer_with_a_custom_gradient_is_named():
    with pytest.raises(ValueError, match="/mine_1/"):
        measure(NativeCustomGradient(name="mine"))


@pytest.mark.tensorflow
def test_an_operation_without_second_derivative_is_named():
    class Resize(layers.Layer):
        def call(self, x):
            image = ops.reshape(x, (-1, 1, 5, 1))
            image = ops.image.resize(image, (1, 8), interpolation="bicubic")
            return ops.reshape(image, (-1, 8))

    with pytest.raises(ValueError, match="ResizeBicubicGrad"):
        measure(Resize())


class StoppedMaximum(layers.Layer):
    """The stopped maximum has no effect on the output, as in a log-sum-exp."""

    def call(self, x):
        largest = ops.stop_gradient(ops.max(x, axis=-1, keepdims=True))
        exponents = ops.exp(x - largest)
        return exponents / ops.sum(exponents, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    "layer",
    [
        *(
            lambda name=name: layers.Activation(name)
            for name in ("silu", "gelu", "softplus", "mish", "elu", "log_softmax")
        ),
        lambda: layers.ReLU(6.0),
        layers.LayerNormalization,
        layers.RMSNormalization,
        layers.BatchNormalization,
        lambda: layers.GroupNormalization(5),
        StoppedMaximum,
    ],
)
def test_measured(layer):
    r = measure(layer())
    assert r.error_bound <= 0.01 * r.sharpness
    assert r.asymmetry < 1e-4
