"""The layers that can follow a linear layer, by name, and the seeds of both."""

import functools
import math

import keras
import numpy as np

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
_LP = ("l1", "l2", "linf")

NORMS = tuple(_LAYERS)


def norm_layer_name(layer: str, norm: str) -> str:
    """Returns the name of the `norm` layer that follows the layer named `layer`."""
    return f"{layer}_{norm}"


def check_norm(norm, norm_after_centering=False):
    """Raises a ValueError unless `norm` is one of `NORMS` and has such an option."""
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}; received {norm!r}.")
    if norm_after_centering and norm not in _LP:
        raise ValueError(
            f"norm_after_centering applies to the norms {', '.join(_LP)}; received "
            f"norm={norm!r}."
        )


def has_statistics(norm):
    """Whether `norm` subtracts the mean, so that a bias before it has no effect."""
    return norm not in _WITHOUT_STATISTICS


def normalize(
    x,
    norm,
    layer,
    seed=None,
    dtype=None,
    synchronized=False,
    norm_after_centering=False,
):
    """Applies `norm` to the Keras tensor `x`, the output of the layer named `layer`.

    `"none"` returns `x`.
    """
    if norm == "none":
        return x
    arguments = {"seed": seed} if norm in _NOISY else {}
    if norm in _LP:
        arguments["norm_after_centering"] = norm_after_centering
    if has_statistics(norm) and keras.backend.backend() == "tensorflow":
        # On JAX, statistics always span all replicas, and Keras' BatchNormalization
        # rejects the argument.
        arguments["synchronized"] = synchronized
    name = norm_layer_name(layer, norm)
    return _LAYERS[norm](name=name, dtype=dtype, **arguments)(x)


def layer_seeds(seed, count):
    """Returns the seeds of the `count` linear layers of a network.

    Args:
        seed: Integer, or None for seeds of None.
        count: Number of linear layers.

    Returns:
        List of pairs: the seed of a linear layer's kernel, which does not depend on
        the norm, and the seed of the noise after that layer. All are different.
    """
    if seed is None:
        return [(None, None)] * count
    seeds = np.random.SeedSequence(seed).generate_state(2 * count) >> 1
    return [(int(kernel), int(noise)) for kernel, noise in seeds.reshape(2, count).T]
