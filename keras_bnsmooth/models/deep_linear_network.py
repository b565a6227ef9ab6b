"""The deep linear network (DLN) of appendix A.1 of the paper."""

import numbers

import keras

from keras_bnsmooth.models.layer_seeds import layer_seeds
from keras_bnsmooth.models.norms import check_norm, normalize


def dln(
    depth=25, dim=10, norm="none", seed=None, dtype=None, name=None, synchronized=False
):
    """Returns W_1 ... W_k x: `depth` square linear layers without bias.

    Weights start as Glorot and Bengio's uniform ones. The normalization, if there
    is one, follows every layer.

    Args:
        depth: Number of layers k.
        dim: Number of inputs, of outputs and of units of every layer.
        norm: `"none"`, `"bn"`, `"noisy_bn"`, `"noise"`, `"l1"`, `"l2"` or `"linf"`.
        seed: Integer that decides the initial weights and the noise, or None. The
            same seed gives the same initial weights under every `norm`.
        dtype: Of weights and computation, such as `"float64"`; None takes Keras'
            global policy.
        name: Of the model.
        synchronized: Whether normalizations take statistics over the batches of all
            replicas of a `tf.distribute.Strategy`, see `LpNormalization`.

    Returns:
        A `keras.Model` from [batch, dim] to [batch, dim].

    Raises:
        ValueError: An argument is not one of those above.

    Example:
    ```python
    x, y = linear_teacher(samples=1000, dim=10, seed=0)
    model = dln(norm="bn")
    model.compile(keras.optimizers.SGD(1e-6), SquaredError())
    model.fit(x, y, batch_size=len(x), epochs=100)      # full-batch gradient descent
    ```
    """
    check_norm(norm)
    for argument, value in (("depth", depth), ("dim", dim)):
        if not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(
                f"{argument} must be a positive integer; received {value}."
            )
    depth, dim = int(depth), int(dim)
    policy = keras.config.dtype_policy() if dtype is None else dtype
    inputs = x = keras.Input((dim,), name="x", dtype=dtype)
    for number, layer_seed in enumerate(layer_seeds(seed, depth), start=1):
        x = keras.layers.Dense(
            dim,
            use_bias=False,
            kernel_initializer=keras.initializers.GlorotUniform(layer_seed),
            dtype=policy,
            name=f"linear{number}",
        )(x)
        x = normalize(x, norm, f"linear{number}", layer_seed, policy, synchronized)
    return keras.Model(inputs, x, name=name or f"dln{depth}_{norm}")
