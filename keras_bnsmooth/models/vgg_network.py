"""VGG for small images (Simonyan and Zisserman, 2014; appendix A.1 of the paper)."""

import numbers

import keras

from keras_bnsmooth.models.layer_seeds import layer_seeds
from keras_bnsmooth.models.norms import check_norm, has_statistics, normalize

# Convolutions in each of the five blocks; a block ends in max-pooling.
_BLOCKS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
# Filters of each block, in multiples of `width`.
_FILTERS = (1, 2, 4, 8, 8)
_HIDDEN_DENSE_LAYERS = 2
# The normalizations', whatever Keras' own default is set to.
_DATA_FORMAT = "channels_last"

DEPTHS = tuple(_BLOCKS)


def vgg(
    input_shape=(32, 32, 3),
    classes=10,
    depth=16,
    width=64,
    norm="none",
    seed=None,
    name=None,
    synchronized=False,
):
    """Returns a VGG network whose outputs are logits.

    `depth - 3` convolutions of 3 x 3 in five blocks, each block ending in
    max-pooling, then two hidden dense layers and the dense output. Every layer but
    the last is followed by the normalization and a ReLU. Weights start as Glorot
    and Bengio's uniform ones, biases as zeros; layers before a normalization that
    subtracts the mean have no bias.

    Args:
        input_shape: (height, width, channels) of an image, of any size from 1 x 1.
        classes: Number of logits.
        depth: 11, 13, 16 or 19; 16 is the deepest that trains without normalization
            at learning rate 0.1.
        width: Filters of the first block; 64 is the full network.
        norm: `"none"`, `"bn"`, `"noisy_bn"`, `"noise"`, `"l1"`, `"l2"` or `"linf"`.
        seed: Integer that decides the initial weights and the noise, or None. The
            same seed gives the same initial weights under every `norm`.
        name: Of the model.
        synchronized: Whether normalizations take statistics over the batches of all
            replicas of a `tf.distribute.Strategy`, see `LpNormalization`.

    Returns:
        A `keras.Model` from images [batch, height, width, channels] to
        logits [batch, classes]; compile it with a loss `from_logits=True`.

    Raises:
        ValueError: An argument is not one of those above.

    Example:
    ```python
    model = vgg(width=16, norm="bn")
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    ```
    """
    check_norm(norm)
    if depth not in _BLOCKS:
        raise ValueError(
            f"depth must be one of {', '.join(map(str, DEPTHS))}; received {depth}."
        )
    for argument, value in (("width", width), ("classes", classes)):
        if not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(
                f"{argument} must be a positive integer; received {value}."
            )
    width, classes = int(width), int(classes)
    seeds = iter(layer_seeds(seed, depth))
    use_bias = not has_statistics(norm)

    def activate(x, layer_name, layer_seed):
        x = normalize(x, norm, layer_name, layer_seed, None, synchronized)
        return keras.layers.ReLU(name=f"{layer_name}_relu")(x)

    inputs = x = keras.Input(input_shape, name="image")
    for block, convolutions in enumerate(_BLOCKS[depth], start=1):
        for number in range(1, convolutions + 1):
            layer_name, layer_seed = f"conv{block}_{number}", next(seeds)
            x = keras.layers.Conv2D(
                _FILTERS[block - 1] * width,
                3,
                padding="same",
                data_format=_DATA_FORMAT,
                use_bias=use_bias,
                kernel_initializer=keras.initializers.GlorotUniform(layer_seed),
                name=layer_name,
            )(x)
            x = activate(x, layer_name, layer_seed)
        # "same" lets images smaller than 32 x 32 pass: 1 x 1 stays 1 x 1.
        x = keras.layers.MaxPooling2D(
            padding="same", data_format=_DATA_FORMAT, name=f"pool{block}"
        )(x)
    x = keras.layers.Flatten(data_format=_DATA_FORMAT, name="flatten")(x)
    for number in range(1, _HIDDEN_DENSE_LAYERS + 1):
        layer_name, layer_seed = f"dense{number}", next(seeds)
        x = keras.layers.Dense(
            _FILTERS[-1] * width,
            use_bias=use_bias,
            kernel_initializer=keras.initializers.GlorotUniform(layer_seed),
            name=layer_name,
        )(x)
        x = activate(x, layer_name, layer_seed)
    logits = keras.layers.Dense(
        classes,
        kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        name="logits",
    )(x)
    return keras.Model(inputs, logits, name=name or f"vgg{depth}_{norm}")
