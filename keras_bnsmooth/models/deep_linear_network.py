"""The deep linear network (DLN) of appendix A.1 of the paper, and its loss."""

import numbers

import keras
from keras import ops

from keras_bnsmooth.models.norms import check_norm, layer_seeds, normalize


def dln(
    depth: int = 25,
    dim: int = 10,
    norm: str = "none",
    seed: int | None = None,
    dtype: str | None = None,
    name: str | None = None,
    synchronized: bool = False,
    *,
    norm_after_centering: bool = False,
    normalize_output: bool = True,
) -> keras.Model:
    """Builds the deep linear network W_1 ... W_k x: square layers without bias.

    Weights are initialized with Glorot and Bengio's uniform distribution. The
    normalization, if there is one, follows every layer.

    The paper does not say whether it also follows the last layer, whose output is
    compared with the targets. It does here unless `normalize_output=False`. With batch
    normalization at the paper's learning rate of 1e-6, three seeds end at the same
    errors either way, but not with the same smoothness: the median effective beta over
    training is 2e6, the edge of stability 2 / learning rate, for all three with the
    output normalized, and 2e6, 2e6 and 1e2 with it bare.

    Args:
        depth: Number of layers k.
        dim: Number of inputs, of outputs and of units per layer.
        norm: `"none"`, `"bn"`, `"noisy_bn"`, `"noise"`, `"l1"`, `"l2"` or `"linf"`.
        seed: Integer that determines the initial weights and the noise, or None. The
            initial weights do not depend on `norm`.
        dtype: Dtype of weights and computations, such as `"float64"`. Defaults to
            Keras' global policy.
        name: Name of the model.
        synchronized: Whether normalizations use the statistics of the global batch
            of a `tf.distribute.Strategy`, see `LpNormalization`.
        norm_after_centering: Whether `"l1"`, `"l2"` and `"linf"` take the norm after
            the mean is subtracted, see `LpNormalization`.
        normalize_output: Whether `norm` follows the last layer, too.

    Returns:
        A `keras.Model` from [batch, dim] to [batch, dim].

    Raises:
        ValueError: If `norm` is unknown, `depth` or `dim` not a positive integer, or
            `norm_after_centering` set for another norm.

    Example:
    >>> import keras
    >>> import keras_bnsmooth as kb
    >>> x = keras.random.normal((1000, 10), seed=0)
    >>> y = keras.ops.matmul(x, keras.random.normal((10, 10), seed=1))
    >>> model = kb.models.dln(norm="bn", seed=0)
    >>> model.compile(keras.optimizers.SGD(1e-6), kb.models.SquaredError())
    >>> history = model.fit(x, y, batch_size=1000, epochs=2, verbose=0)
    """
    check_norm(norm, norm_after_centering)
    for argument, value in (("depth", depth), ("dim", dim)):
        if not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(
                f"{argument} must be a positive integer; received {value}."
            )
    depth, dim = int(depth), int(dim)
    policy = keras.config.dtype_policy() if dtype is None else dtype
    inputs = x = keras.Input((dim,), name="x", dtype=dtype)
    for number, (kernel_seed, noise_seed) in enumerate(layer_seeds(seed, depth), 1):
        x = keras.layers.Dense(
            dim,
            use_bias=False,
            kernel_initializer=keras.initializers.GlorotUniform(kernel_seed),
            dtype=policy,
            name=f"linear{number}",
        )(x)
        if number < depth or normalize_output:
            x = normalize(
                x,
                norm,
                f"linear{number}",
                noise_seed,
                policy,
                synchronized,
                norm_after_centering,
            )
    return keras.Model(inputs, x, name=name or f"dln{depth}_{norm}")


@keras.saving.register_keras_serializable(package="keras_bnsmooth")
class SquaredError(keras.losses.Loss):
    """Squared error ||W_1 ... W_k x - A x||^2, summed over samples and outputs.

    Keras' `MeanSquaredError(reduction="sum")` averages over the outputs, so a learning
    rate would mean something else: the gradient is smaller by the number of outputs.

    Args:
        name: Name of the loss.
        dtype: Dtype of the computation. Defaults to `keras.config.floatx()`.

    Example:
    >>> import numpy as np
    >>> import keras_bnsmooth as kb
    >>> loss = kb.models.SquaredError()
    >>> float(loss(np.zeros((3, 2)), np.ones((3, 2))))
    6.0
    """

    def __init__(self, name: str = "squared_error", dtype: str | None = None):
        super().__init__(name=name, reduction="sum", dtype=dtype)

    def call(self, y_true, y_pred):
        """Returns the loss per sample: [n, d] and [n, d] -> [n]."""
        return ops.sum(ops.square(y_pred - y_true), axis=-1)

    def get_config(self):
        """Returns all constructor arguments."""
        return {"name": self.name, "dtype": self.dtype}
