"""The noise of Algorithm 1 without batch normalization."""

import keras
from keras import ops

from keras_bnsmooth.layers.channels import upcast_half
from keras_bnsmooth.layers.checks import check_axis, check_channel_axis
from keras_bnsmooth.layers.noise import add_noise, check_noise


@keras.saving.register_keras_serializable(package="keras_bnsmooth")
class ActivationNoise(keras.layers.Layer):
    """Adds the time-varying noise of Santurkar et al. (2018) to its inputs.

    This is the noise of `NoisyBatchNormalization` alone, for the network without
    normalization. At every call in training mode, and for each channel j, the layer
    draws

    - `mu_j ~ U(-n_mu, n_mu)` and `sigma_j ~ U(1, n_sigma)`,

    and for each element `a` of that channel

    - `m ~ U(mu_j - r_mu, mu_j + r_mu)` and `s ~ N(sigma_j, r_sigma)`,

    and returns `s * a + m` (Algorithm 1, lines 6 to 14; `r_sigma` is a standard
    deviation). All draws are independent. No gradient flows through them.

    At inference the layer returns its inputs.

    Example:
    >>> layer = ActivationNoise(seed=0)
    >>> tuple(layer(keras.ops.ones((2, 4)), training=True).shape)
    (2, 4)

    Args:
        n_mu: Float >= 0. The channel means are drawn from `[-n_mu, n_mu]`.
        n_sigma: Float >= 1. The channel scales are drawn from `[1, n_sigma]`.
        r_mu: Float >= 0. Half the width of the distribution of the shifts around
            their channel's mean.
        r_sigma: Float >= 0. Standard deviation of the scales around their channel's
            scale.
        axis: Integer, the channel axis. For instance, after a `Conv2D` layer with
            `data_format="channels_first"`, use `axis=1`.
        seed: Integer, optional random seed. Layers with the same seed draw the same
            noise, step for step.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Float tensor of rank 2 or more.
        training: Python boolean indicating whether the layer should behave in
            training mode (adding noise) or in inference mode (doing nothing).

    Raises:
        ValueError: An argument is outside its range, or `axis` is not an axis of the
            inputs.

    Reference:

    - [Santurkar et al., 2018](https://arxiv.org/abs/1805.11604), Algorithm 1.

    **About setting `layer.trainable = False`:** the layer has no trainable weights,
    and as with `GaussianNoise` and `Dropout` this does not switch its noise off; only
    `training=False` does. (`NoisyBatchNormalization`, as `BatchNormalization`, runs in
    inference mode when it is not trainable.)
    """

    def __init__(
        self,
        n_mu=0.5,
        n_sigma=1.25,
        r_mu=0.1,
        r_sigma=0.1,
        axis=-1,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.n_mu, self.n_sigma, self.r_mu, self.r_sigma = check_noise(
            n_mu, n_sigma, r_mu, r_sigma
        )
        self.axis = check_axis(axis)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape):
        """Checks that the inputs have the channel axis."""
        self._channel_axis = check_channel_axis(self.axis, input_shape)

    def call(self, inputs, training=False):
        """Adds the noise if `training`; see the class for the arguments."""
        if not training:
            return inputs
        outputs = add_noise(
            upcast_half(inputs),
            self._channel_axis,
            n_mu=self.n_mu,
            n_sigma=self.n_sigma,
            r_mu=self.r_mu,
            r_sigma=self.r_sigma,
            seed=self.seed_generator,
        )
        return ops.cast(outputs, self.compute_dtype)

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
            "axis": self.axis,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
