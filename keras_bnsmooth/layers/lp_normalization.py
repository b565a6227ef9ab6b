"""Normalization by the average p-norm (Santurkar et al., 2018, section 3.3)."""

import math
from typing import Any

import keras
from keras import constraints, initializers, ops, regularizers

from keras_bnsmooth.layers.channels import (
    broadcast_channels,
    max_abs_per_channel,
    mean_per_channel,
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
    """Normalizes each channel by its mean and its average p-norm.

    This is the normalization of section 3.3 of Santurkar et al. (2018), who use p = 1,
    2 and inf. Like batch normalization it fixes the first moment, but it divides by the
    average p-norm, which is taken **before** the mean is subtracted:

    `gamma * (x - mean(x)) / sqrt(norm(x)**2 + epsilon) + beta`

    - `norm(x) = mean(|x|**p)**(1/p)`, or `max(|x|)` for `p=inf`. The means run over
      the batch and all axes other than `axis`.
    - With `norm_after_centering=True`, the norm is that of `x - mean(x)`, the other
      way to read the paper. With `p=2` this is batch normalization, in training and at
      inference.
    - `epsilon` is added to the squared norm, as batch normalization adds it to the
      variance, so that it has the same meaning for every p.
    - Inputs may be as large as 1e36 in float32, except for `p=2`: where their squares
      overflow, from about 1e19 on, outputs are NaN.

    **During inference**, moving averages replace the statistics of the batch. They are
    updated at each call in training mode:

    - `moving_mean = moving_mean * momentum + mean(x) * (1 - momentum)`
    - `moving_norm = moving_norm * momentum + norm(x) * (1 - momentum)`

    (with `p=2, norm_after_centering=True`, the squares of the norms are averaged, as
    batch normalization averages variances). If layers that add noise precede, call
    `kb.recompute_moving_statistics` before inference, see `NoisyBatchNormalization`.

    Example:
    >>> import keras
    >>> import keras_bnsmooth as kb
    >>> layer = kb.LpNormalization(p=1, epsilon=1e-12)
    >>> outputs = layer(keras.ops.array([[1.0], [3.0]]), training=True)
    >>> keras.ops.convert_to_numpy(outputs).round(3).tolist()
    [[-0.5], [0.5]]

    Args:
        p: Real number >= 1, or infinity. The order of the norm.
        axis: Integer, the channel axis. For instance, after a `Conv2D` layer with
            `data_format="channels_first"`, use `axis=1`.
        momentum: Float in [0, 1]. Momentum of the moving averages.
        epsilon: Float > 0, added to the squared norm to avoid dividing by zero.
        center: If `True`, add the offset `beta` to the normalized tensor.
        scale: If `True`, multiply by `gamma`.
        beta_initializer: Initializer for the beta weight.
        gamma_initializer: Initializer for the gamma weight.
        moving_mean_initializer: Initializer for the moving mean.
        moving_norm_initializer: Initializer for the moving norm.
        beta_regularizer: Optional regularizer for the beta weight.
        gamma_regularizer: Optional regularizer for the gamma weight.
        beta_constraint: Optional constraint for the beta weight.
        gamma_constraint: Optional constraint for the gamma weight.
        synchronized: If `True`, use the statistics of the global batch, over all
            replicas of a `tf.distribute.Strategy`. If `False`, each replica uses
            the statistics of its local batch, as in `BatchNormalization`. On JAX,
            statistics are always those of the global batch.
        norm_after_centering: If `True`, take the norm after the mean is subtracted.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Float tensor of rank 2 or more.
        training: Python boolean indicating whether the layer should behave in
            training mode (statistics of the batch) or in inference mode (moving
            statistics).
        mask: Binary tensor with one axis less than `inputs`: the positions to include
            in the statistics.

    Raises:
        ValueError: If an argument is outside its range, if `axis` is not an axis of
            the inputs, or if `mask` has the wrong rank.

    Reference:

    - [Santurkar et al., 2018](https://arxiv.org/abs/1805.11604), section 3.3.

    **About setting `layer.trainable = False`:** as with `BatchNormalization`, the
    layer then runs in inference mode.
    """

    def __init__(
        self,
        p: float = 2,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_norm_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        synchronized: bool = False,
        *,
        norm_after_centering: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.p = check_real("p", p, low=1, finite=False)
        self.axis = check_axis(axis)
        self.momentum = check_real("momentum", momentum, low=0, high=1)
        self.epsilon = check_real("epsilon", epsilon, low=0, open_low=True)
        self.center = center
        self.scale = scale
        self.norm_after_centering = bool(norm_after_centering)
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

        def add(name, trainable):
            return self.add_weight(
                shape=(channels,),
                name=name,
                initializer=getattr(self, f"{name}_initializer"),
                regularizer=getattr(self, f"{name}_regularizer", None),
                constraint=getattr(self, f"{name}_constraint", None),
                trainable=trainable,
                autocast=False,
            )

        if self.scale:
            self.gamma = add("gamma", trainable=True)
        if self.center:
            self.beta = add("beta", trainable=True)
        self.moving_mean = add("moving_mean", trainable=False)
        self.moving_norm = add("moving_norm", trainable=False)
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
            mean, norm = self._statistics(x, mask)
            self._update_moving_statistics(mean, norm)
        else:
            mean = ops.cast(self.moving_mean, x.dtype)
            norm = ops.cast(self.moving_norm, x.dtype)

        # One scale and one shift per channel need only two passes over `x`.
        scale = 1 / _root_of_squares(norm, math.sqrt(self.epsilon))
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
        """Mean and norm of each channel."""
        mean = mean_per_channel(x, self._channel_axis, mask, self.synchronized)
        if self.norm_after_centering:
            x = x - broadcast_channels(mean, x, self._channel_axis)
        return mean, self._norm(x, mask)

    def _norm(self, x, mask):
        """Average p-norm; its value and gradient are finite at 0."""
        over = (self._channel_axis, mask, self.synchronized)
        if self.p == 1:
            return mean_per_channel(ops.abs(x), *over)
        if math.isinf(self.p):
            return max_abs_per_channel(x, *over)
        # A root has no finite slope at 0: there the norm is 0 without a gradient.
        if self.p == 2:
            squared = mean_per_channel(ops.square(x), *over)
            # A square that overflows must not pass for a norm that divides all to 0.
            squared = ops.where(squared < math.inf, squared, math.nan)
            zero = squared == 0
            return ops.where(zero, 0, ops.sqrt(ops.where(zero, 1, squared)))
        # Powers of |x| / max|x| neither overflow nor all underflow. The norm does not
        # depend on the divisor, so no gradient needs to flow through it.
        largest = max_abs_per_channel(ops.stop_gradient(x), *over)
        positive = largest > 0
        divisor = ops.where(positive, largest, 1)
        magnitude = ops.abs(x) / broadcast_channels(divisor, x, self._channel_axis)
        power_mean = mean_per_channel(ops.power(magnitude, self.p), *over)
        power_mean = ops.where(positive, power_mean, 1)
        return largest * ops.power(power_mean, 1 / self.p)

    def _update_moving_statistics(self, mean, norm):
        def moved(moving, batch):
            return moving * self.momentum + batch * (1.0 - self.momentum)

        moving_mean = ops.cast(self.moving_mean, mean.dtype)
        moving_norm = ops.cast(self.moving_norm, mean.dtype)
        self.moving_mean.assign(moved(moving_mean, mean))
        if self.p == 2 and self.norm_after_centering:
            weights = self.momentum**0.5, (1.0 - self.momentum) ** 0.5
            moving_norm = _root_of_squares(moving_norm * weights[0], norm * weights[1])
        else:
            moving_norm = moved(moving_norm, norm)
        self.moving_norm.assign(moving_norm)

    def compute_output_shape(self, input_shape):
        """Returns `input_shape`."""
        check_channel_axis(self.axis, input_shape)
        return input_shape

    def get_config(self):
        """Returns all constructor arguments."""
        values = (
            "p axis momentum epsilon center scale synchronized norm_after_centering"
        )
        objects = (
            "beta_initializer gamma_initializer moving_mean_initializer "
            "moving_norm_initializer beta_regularizer gamma_regularizer "
            "beta_constraint gamma_constraint"
        )
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in values.split()},
            **{name: serialize(getattr(self, name)) for name in objects.split()},
        }


def _root_of_squares(a, b):
    """Returns sqrt(a**2 + b**2) of tensors >= 0; no square overflows."""
    # The result does not depend on the divisor, so no gradient flows through it.
    divisor = ops.stop_gradient(ops.maximum(ops.maximum(a, b), 1e-30))
    return divisor * ops.sqrt(ops.square(a / divisor) + ops.square(b / divisor))
