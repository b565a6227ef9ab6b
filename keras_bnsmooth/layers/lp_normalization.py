"""Normalization by the average p-norm."""

import math

import keras
from keras import constraints, initializers, ops, regularizers

from keras_bnsmooth.layers.channels import (
    broadcast_channels,
    max_abs_per_channel,
    mean_per_channel,
    moments_per_channel,
    upcast_half,
)
from keras_bnsmooth.layers.checks import (
    check_axis,
    check_channel_axis,
    check_mask,
    check_real,
)


@keras.saving.register_keras_serializable(package="keras_bnsmooth")
class LpNormalization(keras.layers.Layer):
    """Normalizes by the mean and the average p-norm of each channel.

    The normalization of section 3.3 of Santurkar et al. (2018), there with p = 1, 2
    and inf: like batch normalization it fixes the first moment, but it divides by the
    average p-norm, taken **before** the mean is subtracted:

    `gamma * (x - mean(x)) / sqrt(norm(x)**2 + epsilon) + beta`

    - `norm(x) = mean(|x|**p)**(1/p)`, and `max(|x|)` for `p=inf`. The means run over
      the batch and all axes other than `axis`.
    - With `norm_after_centering=True` it is the norm of `x - mean(x)`. With `p=2`
      that is batch normalization, in training and at inference.
    - `epsilon` enters as in batch normalization, squared norm for variance, so that
      it means the same for every p.

    **During inference**, moving averages of both statistics take the place of the
    batch's. They are updated at each call in training mode:

    - `moving_mean = moving_mean * momentum + mean(x) * (1 - momentum)`
    - `moving_norm = moving_norm * momentum + norm(x) * (1 - momentum)`

    (with `p=2, norm_after_centering=True`, the squares of the norms are averaged, as
    batch normalization averages variances).

    Example:
    >>> layer = LpNormalization(p=1)
    >>> tuple(layer(keras.random.normal((8, 4)), training=True).shape)
    (8, 4)

    Args:
        p: Real number >= 1, or infinity. The order of the norm.
        axis: Integer, the channel axis. For instance, after a `Conv2D` layer with
            `data_format="channels_first"`, use `axis=1`.
        momentum: Float in [0, 1]. Momentum of the moving averages.
        epsilon: Float > 0, added to the squared norm to avoid dividing by zero.
        center: If `True`, add the offset `beta` to the normalized tensor.
        scale: If `True`, multiply by `gamma`.
        norm_after_centering: If `True`, take the norm after the mean is subtracted.
        synchronized: If `True`, statistics are those of the global batch, over all
            replicas of a `tf.distribute.Strategy`. If `False`, each replica uses
            those of its own share, as `BatchNormalization` does. On JAX they are
            those of the global batch always.
        beta_initializer: Initializer for the beta weight.
        gamma_initializer: Initializer for the gamma weight.
        moving_mean_initializer: Initializer for the moving mean.
        moving_norm_initializer: Initializer for the moving norm.
        beta_regularizer: Optional regularizer for the beta weight.
        gamma_regularizer: Optional regularizer for the gamma weight.
        beta_constraint: Optional constraint for the beta weight.
        gamma_constraint: Optional constraint for the gamma weight.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Float tensor of rank 2 or more.
        training: Python boolean indicating whether the layer should behave in
            training mode (statistics of the batch) or in inference mode (moving
            statistics).
        mask: Binary tensor with one axis less than `inputs`: the positions that
            count in the statistics.

    Raises:
        ValueError: An argument is outside its range, `axis` is not an axis of the
            inputs, or `mask` has the wrong rank.

    Reference:

    - [Santurkar et al., 2018](https://arxiv.org/abs/1805.11604), section 3.3.

    **About setting `layer.trainable = False`:** as with `BatchNormalization`, the
    layer then runs in inference mode.
    """

    def __init__(
        self,
        p=2,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        norm_after_centering=False,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_norm_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        synchronized=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.p = check_real("p", p, low=1, finite=False)
        self.axis = check_axis(axis)
        self.momentum = check_real("momentum", momentum, low=0, high=1)
        self.epsilon = check_real("epsilon", epsilon, low=0, open_low=True)
        self.center = center
        self.scale = scale
        self.norm_after_centering = norm_after_centering
        self.synchronized = bool(synchronized)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_norm_initializer = initializers.get(moving_norm_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.gamma = None
        self.beta = None
        self.moving_mean = None
        self.moving_norm = None
        self.supports_masking = True

    def build(self, input_shape):
        """Creates the weights, one value per channel."""
        self._channel_axis = check_channel_axis(self.axis, input_shape)
        channels = input_shape[self.axis]
        if self.scale:
            self.gamma = self.add_weight(
                shape=(channels,),
                name="gamma",
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center:
            self.beta = self.add_weight(
                shape=(channels,),
                name="beta",
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )
        self.moving_mean = self.add_weight(
            shape=(channels,),
            name="moving_mean",
            initializer=self.moving_mean_initializer,
            trainable=False,
            autocast=False,
        )
        self.moving_norm = self.add_weight(
            shape=(channels,),
            name="moving_norm",
            initializer=self.moving_norm_initializer,
            trainable=False,
            autocast=False,
        )
        self.input_spec = keras.layers.InputSpec(
            ndim=len(input_shape), axes={self._channel_axis: channels}
        )

    def call(self, inputs, training=None, mask=None):
        """Normalizes `inputs`; see the class for the arguments."""
        check_mask(mask, inputs)
        axis = self._channel_axis
        x = upcast_half(inputs)
        if training and self.trainable:
            if mask is not None:
                mask = ops.expand_dims(ops.cast(mask, x.dtype), -1)
            mean, norm_squared = self._statistics(x, mask)
            self._update_moving_statistics(mean, norm_squared)
        else:
            mean = ops.cast(self.moving_mean, x.dtype)
            norm_squared = ops.square(ops.cast(self.moving_norm, x.dtype))

        # One scale and one shift a channel, so that two passes over `x` are enough.
        scale = ops.rsqrt(norm_squared + self.epsilon)
        if self.scale:
            scale = scale * ops.cast(self.gamma, x.dtype)
        shift = -mean * scale
        if self.center:
            shift = shift + ops.cast(self.beta, x.dtype)
        outputs = x * broadcast_channels(scale, x, axis) + broadcast_channels(
            shift, x, axis
        )
        return ops.cast(outputs, self.compute_dtype)

    def _statistics(self, x, mask):
        axis = self._channel_axis
        if self.norm_after_centering and self.p == 2:
            return moments_per_channel(x, axis, mask, self.synchronized)
        mean = mean_per_channel(x, axis, mask, self.synchronized)
        measured = (
            x - broadcast_channels(mean, x, axis) if self.norm_after_centering else x
        )
        return mean, self._norm_squared(measured, mask)

    def _norm_squared(self, x, mask):
        """Square of the average p-norm, finite and with a finite gradient at 0."""
        over = (self._channel_axis, mask, self.synchronized)
        if self.p == 2:
            return mean_per_channel(ops.square(x), *over)
        if self.p == 1:
            return ops.square(mean_per_channel(ops.abs(x), *over))
        if math.isinf(self.p):
            return ops.square(max_abs_per_channel(x, *over))
        # Powers of |x| / max|x| neither overflow nor vanish altogether. The norm does
        # not depend on what we divide by, so no gradient need flow through it.
        largest = max_abs_per_channel(ops.stop_gradient(x), *over)
        divisor = ops.where(largest > 0, largest, 1)
        magnitude = ops.abs(x) / broadcast_channels(divisor, x, self._channel_axis)
        power_mean = mean_per_channel(ops.power(magnitude, self.p), *over)
        # The root has no finite slope at 0, where the norm is 0 whatever the root.
        power_mean = ops.where(largest > 0, power_mean, 1)
        return ops.square(largest * ops.power(power_mean, 1 / self.p))

    def _update_moving_statistics(self, mean, norm_squared):
        def moved(moving, batch):
            return moving * self.momentum + batch * (1.0 - self.momentum)

        self.moving_mean.assign(moved(self.moving_mean, mean))
        if self.p == 2 and self.norm_after_centering:
            self.moving_norm.assign(
                ops.sqrt(moved(ops.square(self.moving_norm), norm_squared))
            )
        else:
            self.moving_norm.assign(moved(self.moving_norm, ops.sqrt(norm_squared)))

    def compute_output_shape(self, input_shape):
        """Returns `input_shape`."""
        check_channel_axis(self.axis, input_shape)
        return input_shape

    def get_config(self):
        """Returns all arguments of the constructor."""
        config = {
            "p": self.p,
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "norm_after_centering": self.norm_after_centering,
            "synchronized": self.synchronized,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "moving_mean_initializer": initializers.serialize(
                self.moving_mean_initializer
            ),
            "moving_norm_initializer": initializers.serialize(
                self.moving_norm_initializer
            ),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }
        return {**super().get_config(), **config}
