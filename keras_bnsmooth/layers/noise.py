"""The noise of Algorithm 1 of Santurkar et al. (2018)."""

from typing import Any

import keras
from keras import ops, random

from keras_bnsmooth.layers.channels import (
    broadcast_channels,
    replica_context,
    upcast_half,
)
from keras_bnsmooth.layers.checks import check_axis, check_channel_axis, check_real


class NoiseLayer(keras.layers.Layer):
    """Base class of the layers that add noise.

    It has no constructor, so that `NoisyBatchNormalization` can inherit from it and
    from `BatchNormalization`. Subclasses set `axis`, call `_set_noise` in their
    constructor and `_add_noise` in `call`.
    """

    def _set_noise(self, n_mu, n_sigma, r_mu, r_sigma, seed):
        self.n_mu = check_real("n_mu", n_mu, low=0)
        self.n_sigma = check_real("n_sigma", n_sigma, low=1)
        self.r_mu = check_real("r_mu", r_mu, low=0)
        self.r_sigma = check_real("r_sigma", r_sigma, low=0)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)

    def build(self, input_shape):
        """Validates the channel axis and creates the weights, if there are any."""
        self._channel_axis = check_channel_axis(self.axis, input_shape)
        super().build(input_shape)

    def _add_noise(self, inputs):
        """Returns `s * inputs + m`, computed in float32 for half precision."""
        x, axis = upcast_half(inputs), self._channel_axis
        shape, channels = ops.shape(x), (x.shape[axis],)
        draw = {"dtype": x.dtype, "seed": self.seed_generator}
        mu = random.uniform(channels, -self.n_mu, self.n_mu, **draw)
        sigma = random.uniform(channels, 1.0, self.n_sigma, **draw)
        draw["seed"] = _SeedsOfReplica(self.seed_generator)
        m = random.uniform(shape, -self.r_mu, self.r_mu, **draw)
        s = random.normal(shape, 0.0, self.r_sigma, **draw)
        m = m + broadcast_channels(mu, x, axis)
        s = s + broadcast_channels(sigma, x, axis)
        return ops.cast(s * x + m, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Returns `input_shape`."""
        check_channel_axis(self.axis, input_shape)
        return input_shape

    def get_config(self):
        """Returns all constructor arguments."""
        noise = ("n_mu", "n_sigma", "r_mu", "r_sigma", "axis", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in noise}}


class _SeedsOfReplica(random.SeedGenerator):
    """Seeds of another generator, which has the same state on every replica.

    The first replica draws what a single device would, and every other one its own.
    """

    def __init__(self, generator):
        self._generator = generator

    def next(self, ordered=True):
        seed = self._generator.next(ordered)
        context = replica_context()
        if context is None:
            return seed
        # Any odd number, larger than what users choose as seeds.
        replica = 1_000_003 * ops.cast(context.replica_id_in_sync_group, seed.dtype)
        return seed + ops.stack([replica, ops.zeros_like(replica)])


@keras.saving.register_keras_serializable(package="keras_bnsmooth")
class ActivationNoise(NoiseLayer):
    """Adds the time-varying noise of Santurkar et al. (2018) to its inputs.

    This is the noise of `NoisyBatchNormalization` without the batch normalization,
    for the paper's network without normalization (Algorithm 1, lines 6 to 14). At
    every call in training mode, the layer draws for each channel j

    - `mu_j ~ U(-n_mu, n_mu)` and `sigma_j ~ U(1, n_sigma)`,

    and for each element `a` of that channel

    - `m ~ U(mu_j - r_mu, mu_j + r_mu)` and `s ~ N(sigma_j, r_sigma)`, where `r_sigma`
      is a standard deviation,

    and returns `s * a + m`. All draws are independent, and no gradient flows through
    them. Half-precision inputs are perturbed in float32.

    On several replicas of a `tf.distribute.Strategy`, the draws for channels are the
    same on all, and those for elements independent: the noise of a global batch has the
    distribution that it has on one device, but other values.

    At inference the layer returns its inputs unchanged. If normalization layers with
    moving statistics follow, call `kb.recompute_moving_statistics(model, data)` before
    inference, since the statistics that they collected in training include the noise.

    Example:
    >>> import keras
    >>> import keras_bnsmooth as kb
    >>> layer = kb.ActivationNoise(seed=0)
    >>> x = keras.ops.ones((2, 4))
    >>> bool(keras.ops.all(layer(x) == x))
    True
    >>> bool(keras.ops.all(layer(x, training=True) == x))
    False

    Args:
        n_mu: Float >= 0. Channel means are drawn from `[-n_mu, n_mu]`.
        n_sigma: Float >= 1. Channel scales are drawn from `[1, n_sigma]`.
        r_mu: Float >= 0. Half-width of the distribution of the shifts around their
            channel's mean.
        r_sigma: Float >= 0. Standard deviation of the scales around their channel's
            scale.
        axis: Integer, the channel axis. For instance, after a `Conv2D` layer with
            `data_format="channels_first"`, use `axis=1`.
        seed: Integer, optional random seed. Layers with the same seed draw the same
            noise at every step.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Float tensor of rank 2 or more.
        training: Python boolean indicating whether the layer should behave in
            training mode (adding noise) or in inference mode (doing nothing).

    Raises:
        ValueError: If an argument is outside its range, or if `axis` is not an axis
            of the inputs.

    Reference:

    - [Santurkar et al., 2018](https://arxiv.org/abs/1805.11604), Algorithm 1.

    **About setting `layer.trainable = False`:** as with `GaussianNoise` and `Dropout`,
    this does not switch off the noise; only `training=False` does. (In contrast,
    `NoisyBatchNormalization` runs in inference mode when it is not trainable, as
    `BatchNormalization` does.)
    """

    def __init__(
        self,
        *,
        n_mu: float = 0.5,
        n_sigma: float = 1.25,
        r_mu: float = 0.1,
        r_sigma: float = 0.1,
        axis: int = -1,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.axis = check_axis(axis)
        self._set_noise(n_mu, n_sigma, r_mu, r_sigma, seed)
        self.supports_masking = True

    def call(self, inputs, training=False):
        """Adds noise in training mode; see the class for the arguments."""
        return self._add_noise(inputs) if training else inputs
