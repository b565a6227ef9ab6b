"""What stands between a linear layer and its activation, by name."""

import functools
import math

import keras

from keras_bnsmooth.layers import (
    ActivationNoise,
    LpNormalization,
    NoisyBatchNormalization,
)

_LAYERS = {
    "none": None,
    "bn": keras.layers.BatchNormalization,
    "noisy_bn": NoisyBatchNormalization,
    "noise": ActivationNoise,
    "l1": functools.partial(LpNormalization, p=1),
    "l2": functools.partial(LpNormalization, p=2),
    "linf": functools.partial(LpNormalization, p=math.inf),
}
_NOISY = ("noisy_bn", "noise")
_WITHOUT_STATISTICS = ("none", "noise")

NORMS = tuple(_LAYERS)


def norm_layer_name(layer: str, norm: str) -> str:
    """Returns the name of the normalization after a linear layer of that name."""
    return f"{layer}_{norm}"


def check_norm(norm):
    """Raises a ValueError where `norm` is not one of `NORMS`."""
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}; received {norm!r}.")


def has_statistics(norm):
    """Whether `norm` subtracts a mean, which makes a bias before it void."""
    return norm not in _WITHOUT_STATISTICS


def normalize(x, norm, layer, seed=None, dtype=None, synchronized=False):
    """Applies `norm` to the Keras tensor `x`, the outputs of the layer named `layer`.

    `"none"` returns `x`.
    """
    if norm == "none":
        return x
    arguments = {"seed": seed} if norm in _NOISY else {}
    if has_statistics(norm) and keras.backend.backend() == "tensorflow":
        # On JAX they are over all replicas always; Keras' own layer refuses it there.
        arguments["synchronized"] = synchronized
    name = norm_layer_name(layer, norm)
    return _LAYERS[norm](name=name, dtype=dtype, **arguments)(x)
