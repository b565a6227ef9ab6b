"""Batch normalization followed by noise: Algorithm 1."""

import keras
from keras import ops

from keras_bnsmooth.layers.channels import (
    broadcast_channels,
    moments_per_channel,
    upcast_half,
)
from keras_bnsmooth.layers.checks import (
    check_axis,
    check_channel_axis,
    check_mask,
    check_real,
)
from keras_bnsmooth.layers.noise import add_noise, check_noise


@keras.saving.register_keras_serializable(package="keras_bnsmooth")
class NoisyBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization with noise after it, the "noisy" BatchNorm of the paper.

    The layer normalizes as `keras.layers.BatchNormalization` does. Then, at every
    call in training mode, and for each channel j, it draws

    - `mu_j ~ U(-n_mu, n_mu)` and `sigma_j ~ U(1, n_sigma)`,

    and for each normalized activation `a` of that channel

    - `m ~ U(mu_j - r_mu, mu_j + r_mu)` and `s ~ N(sigma_j, r_sigma)`,

    and returns `s * a + m` (Algorithm 1; `r_sigma` is a standard deviation). The
    noise comes after `gamma` and `beta`. All draws are independent. No gradient flows
    through them, and the moving statistics, which are those of the inputs, never see
    the noise. So every unit has other moments at every step: the covariate shift that
    batch normalization was said to remove.

    At inference there is no noise: the layer is batch normalization. With `n_mu=0`,
    `n_sigma=1`, `r_mu=0` and `r_sigma=0` it is batch normalization in training, too.

    Example:
    >>> layer = NoisyBatchNormalization(momentum=0.9, seed=0)
    >>> tuple(layer(keras.random.normal((8, 4)), training=True).shape)
    (8, 4)

    Args:
        n_mu: Float >= 0. The channel means are drawn from `[-n_mu, n_mu]`.
        n_sigma: Float >= 1. The channel scales are drawn from `[1, n_sigma]`.
        r_mu: Float >= 0. Half the width of the distribution of the shifts around
            their channel's mean.
        r_sigma: Float >= 0. Standard deviation of the scales around their channel's
            scale.
        seed: Integer, optional random seed. Layers with the same seed draw the same
            noise, step for step.
        **batch_normalization_args: Arguments of `keras.layers.BatchNormalization`
            (`axis`, `momentum`, `epsilon`, `center`, `scale`, initializers,
            regularizers, constraints, `renorm`, `synchronized`) and of the base layer
            (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Float tensor of rank 2 or more.
        training: Python boolean indicating whether the layer should behave in
            training mode (statistics of the batch, noise) or in inference mode
            (moving statistics, no noise).
        mask: Binary tensor with one axis less than `inputs`: the positions that
            count in the statistics. Noise is added everywhere.

    Raises:
        ValueError: An argument is outside its range, `axis` is not an axis of the
            inputs, or `mask` has the wrong rank.

    Reference:

    - [Santurkar et al., 2018](https://arxiv.org/abs/1805.11604), Algorithm 1.
    - [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167).

    **About setting `layer.trainable = False`:** as with `BatchNormalization`, the
    layer then runs in inference mode: moving statistics, and no noise.
    """

    def __init__(
        self,
        n_mu=0.5,
        n_sigma=1.25,
        r_mu=0.1,
        r_sigma=0.1,
        seed=None,
        **batch_normalization_args,
    ):
        check_axis(batch_normalization_args.get("axis", -1))
        check_real(
            "momentum", batch_normalization_args.get("momentum", 0.99), low=0, high=1
        )
        check_real(
            "epsilon",
            batch_normalization_args.get("epsilon", 1e-3),
            low=0,
            open_low=True,
        )
        super().__init__(**batch_normalization_args)
        self.n_mu, self.n_sigma, self.r_mu, self.r_sigma = check_noise(
            n_mu, n_sigma, r_mu, r_sigma
        )
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        """Creates the weights, one value per channel."""
        self._channel_axis = check_channel_axis(self.axis, input_shape)
        super().build(input_shape)

    def call(self, inputs, training=None, mask=None):
        """Normalizes `inputs`; see the class for the arguments."""
        check_mask(mask, inputs)
        if not (training and self.trainable):
            return super().call(inputs, training=False, mask=mask)
        if self.renorm or self.synchronized:
            outputs = super().call(inputs, training=True, mask=mask)
            outputs = upcast_half(outputs)
        else:
            outputs = self._normalize(upcast_half(inputs), mask)
        outputs = add_noise(
            outputs,
            self._channel_axis,
            n_mu=self.n_mu,
            n_sigma=self.n_sigma,
            r_mu=self.r_mu,
            r_sigma=self.r_sigma,
            seed=self.seed_generator,
        )
        return ops.cast(outputs, self.compute_dtype)

    def _normalize(self, x, mask):
        """Batch normalization of `x` in training mode.

        The numbers are those of `BatchNormalization.call`, at three quarters of its
        time: this pays for part of the noise.
        """
        axis = self._channel_axis
        if mask is not None:
            mask = ops.expand_dims(ops.cast(mask, x.dtype), -1)
        mean, variance = moments_per_channel(x, axis, mask)
        for moving, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        # One scale and one shift a channel, so that two passes over `x` are enough.
        scale = ops.rsqrt(variance + self.epsilon)
        if self.scale:
            scale = scale * ops.cast(self.gamma, x.dtype)
        shift = -mean * scale
        if self.center:
            shift = shift + ops.cast(self.beta, x.dtype)
        return x * broadcast_channels(scale, x, axis) + broadcast_channels(
            shift, x, axis
        )

    def compute_output_shape(self, input_shape):
        """Returns `input_shape`."""
        check_channel_axis(self.axis, input_shape)
        return input_shape

    def get_config(self):
        """Returns all arguments of the constructor."""
        config = {
            "n_mu": self.n_mu,
            "n_sigma": self.n_sigma,
            "r_mu": self.r_mu,
            "r_sigma": self.r_sigma,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
