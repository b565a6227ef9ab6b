"""Batch normalization followed by noise: Algorithm 1 of Santurkar et al. (2018)."""

from typing import Any

import keras

from keras_bnsmooth.layers.checks import check_axis, check_real
from keras_bnsmooth.layers.noise import NoiseLayer


@keras.saving.register_keras_serializable(package="keras_bnsmooth")
class NoisyBatchNormalization(NoiseLayer, keras.layers.BatchNormalization):
    """Batch normalization followed by noise: the paper's "noisy" BatchNorm.

    A drop-in replacement for `keras.layers.BatchNormalization`. The layer first
    normalizes its inputs as `BatchNormalization` does, `gamma` and `beta` included.
    At every call in training mode, it then draws for each channel j

    - `mu_j ~ U(-n_mu, n_mu)` and `sigma_j ~ U(1, n_sigma)`,

    and for each normalized activation `a` of that channel

    - `m ~ U(mu_j - r_mu, mu_j + r_mu)` and `s ~ N(sigma_j, r_sigma)`, where `r_sigma`
      is a standard deviation,

    and returns `s * a + m` (Algorithm 1). All draws are independent, and no gradient
    flows through them. The moving statistics are those of the inputs, before the
    noise. The noise changes the moments of every unit at every step; it thus restores
    the covariate shift that batch normalization was thought to remove. On several
    replicas of a `tf.distribute.Strategy`, the draws for channels are the same on all,
    and those for elements independent.

    At inference the layer is batch normalization, without noise. With `n_mu=0`,
    `n_sigma=1`, `r_mu=0` and `r_sigma=0` it is batch normalization in training, too.

    **Before inference, call `kb.recompute_moving_statistics(model, data)`.** The moving
    statistics of a layer include the noise of all layers before it. Inference removes
    that noise, so the statistics no longer fit: in a stack of such layers, a network
    that has learned well can be at chance level. Recomputing them without noise
    resolves this.

    Example:
    >>> import keras
    >>> import keras_bnsmooth as kb
    >>> layer = kb.NoisyBatchNormalization(momentum=0.9, n_mu=0.2, seed=0)
    >>> x = keras.random.normal((8, 4), seed=0)
    >>> outputs = layer(x, training=True)
    >>> again = layer(x, training=True)
    >>> bool(keras.ops.all(outputs == again))
    False

    Args:
        axis: Integer, the channel axis. For instance, after a `Conv2D` layer with
            `data_format="channels_first"`, use `axis=1`.
        momentum: Float in [0, 1]. Momentum of the moving averages.
        epsilon: Float > 0, added to the variance to avoid dividing by zero.
        center: If `True`, add the offset `beta` to the normalized tensor.
        scale: If `True`, multiply by `gamma`.
        beta_initializer: Initializer for the beta weight.
        gamma_initializer: Initializer for the gamma weight.
        moving_mean_initializer: Initializer for the moving mean.
        moving_variance_initializer: Initializer for the moving variance.
        beta_regularizer: Optional regularizer for the beta weight.
        gamma_regularizer: Optional regularizer for the gamma weight.
        beta_constraint: Optional constraint for the beta weight.
        gamma_constraint: Optional constraint for the gamma weight.
        synchronized: Whether to use the statistics of the global batch, over all
            replicas of a `tf.distribute.Strategy` (TensorFlow only).
        n_mu: Float >= 0. Channel means are drawn from `[-n_mu, n_mu]`.
        n_sigma: Float >= 1. Channel scales are drawn from `[1, n_sigma]`.
        r_mu: Float >= 0. Half-width of the distribution of the shifts around their
            channel's mean.
        r_sigma: Float >= 0. Standard deviation of the scales around their channel's
            scale.
        seed: Integer, optional random seed. Layers with the same seed draw the same
            noise at every step.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`), and the
            arguments for batch renormalization (`renorm`, `renorm_clipping`,
            `renorm_momentum`) in the versions of Keras that have them.

    Call arguments:
        inputs: Float tensor of rank 2 or more.
        training: Python boolean indicating whether the layer should behave in
            training mode (statistics of the batch, noise) or in inference mode
            (moving statistics, no noise).
        mask: Binary tensor with one axis less than `inputs`: the positions to include
            in the statistics. Noise is added everywhere.

    Raises:
        ValueError: If an argument is outside its range, if `axis` is not an axis of
            the inputs, or if `mask` has the wrong rank.

    Reference:

    - [Santurkar et al., 2018](https://arxiv.org/abs/1805.11604), Algorithm 1.
    - [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167).

    **About setting `layer.trainable = False`:** as with `BatchNormalization`, the
    layer then runs in inference mode: moving statistics, and no noise.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        *,  # From here on, the order of Keras' arguments depends on its version.
        synchronized: bool = False,
        n_mu: float = 0.5,
        n_sigma: float = 1.25,
        r_mu: float = 0.1,
        r_sigma: float = 0.1,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            axis=check_axis(axis),
            momentum=check_real("momentum", momentum, low=0, high=1),
            epsilon=check_real("epsilon", epsilon, low=0, open_low=True),
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            moving_mean_initializer=moving_mean_initializer,
            moving_variance_initializer=moving_variance_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            synchronized=synchronized,
            **kwargs,
        )
        self._set_noise(n_mu, n_sigma, r_mu, r_sigma, seed)

    def call(self, inputs, training=None, mask=None):
        """Normalizes `inputs`, then adds noise; see the class for the arguments."""
        outputs = super().call(inputs, training=training, mask=mask)
        return self._add_noise(outputs) if training and self.trainable else outputs
