"""VGG for small images (Simonyan and Zisserman, 2014; appendix A.1 of the paper)."""

import numbers

import keras

from keras_bnsmooth.models.norms import (
    check_norm,
    has_statistics,
    layer_seeds,
    normalize,
)

# Convolutions per block; each of the five blocks ends in max-pooling.
_BLOCKS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
# Filters per block, in multiples of `width`.
_FILTERS = (1, 2, 4, 8, 8)
_HIDDEN_DENSE_LAYERS = 2
# Set explicitly, because the normalizations use the last axis whatever Keras' default.
_DATA_FORMAT = "channels_last"

DEPTHS = tuple(_BLOCKS)


def vgg(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    depth: int = 16,
    width: int = 64,
    norm: str = "none",
    seed: int | None = None,
    name: str | None = None,
    synchronized: bool = False,
    *,
    norm_after_centering: bool = False,
) -> keras.Model:
    """Builds a VGG network that returns logits.

    The network has `depth - 3` convolutions of 3 x 3 in five blocks, each ending in
    max-pooling, then two hidden dense layers and the dense output. The normalization
    and a ReLU follow every layer but the last. Weights are initialized with Glorot
    and Bengio's uniform distribution, biases with zeros; layers before a normalization
    that subtracts the mean have no bias.

    Args:
        input_shape: (height, width, channels) of an image, at least 1 x 1 pixels.
        classes: Number of logits.
        depth: 11, 13, 16 or 19; 16 is the deepest that trains without normalization
            at learning rate 0.1.
        width: Number of filters in the first block; 64 is the full network.
        norm: `"none"`, `"bn"`, `"noisy_bn"`, `"noise"`, `"l1"`, `"l2"` or `"linf"`.
        seed: Integer that determines the initial weights and the noise, or None. The
            initial weights do not depend on `norm`.
        name: Name of the model.
        synchronized: Whether normalizations use the statistics of the global batch
            of a `tf.distribute.Strategy`, see `LpNormalization`.
        norm_after_centering: Whether `"l1"`, `"l2"` and `"linf"` take the norm after
            the mean is subtracted, see `LpNormalization`.

    Returns:
        A `keras.Model` from images [batch, height, width, channels] to
        logits [batch, classes]. Compile it with a loss that has `from_logits=True`.

    Raises:
        ValueError: If `norm` or `depth` is unknown, `width` or `classes` not a
            positive integer, or `norm_after_centering` set for another norm.

    Example:
    >>> import keras
    >>> import keras_bnsmooth as kb
    >>> model = kb.models.vgg(depth=11, width=4, norm="bn", seed=0)
    >>> model.compile(
    ...     keras.optimizers.SGD(0.1),
    ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ...     metrics=["accuracy"],
    ... )
    >>> model.output_shape
    (None, 10)
    """
    check_norm(norm, norm_after_centering)
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

    def activate(x, layer_name, noise_seed):
        x = normalize(
            x,
            norm,
            layer_name,
            noise_seed,
            synchronized=synchronized,
            norm_after_centering=norm_after_centering,
        )
        return keras.layers.ReLU(name=f"{layer_name}_relu")(x)

    inputs = x = keras.Input(input_shape, name="image")
    for block, convolutions in enumerate(_BLOCKS[depth], start=1):
        for number in range(1, convolutions + 1):
            layer_name, (kernel_seed, noise_seed) = f"conv{block}_{number}", next(seeds)
            x = keras.layers.Conv2D(
                _FILTERS[block - 1] * width,
                3,
                padding="same",
                data_format=_DATA_FORMAT,
                use_bias=use_bias,
                kernel_initializer=keras.initializers.GlorotUniform(kernel_seed),
                name=layer_name,
            )(x)
            x = activate(x, layer_name, noise_seed)
        # "same" allows images smaller than 32 x 32: 1 x 1 stays 1 x 1.
        x = keras.layers.MaxPooling2D(
            padding="same", data_format=_DATA_FORMAT, name=f"pool{block}"
        )(x)
    x = keras.layers.Flatten(data_format=_DATA_FORMAT, name="flatten")(x)
    for number in range(1, _HIDDEN_DENSE_LAYERS + 1):
        layer_name, (kernel_seed, noise_seed) = f"dense{number}", next(seeds)
        x = keras.layers.Dense(
            _FILTERS[-1] * width,
            use_bias=use_bias,
            kernel_initializer=keras.initializers.GlorotUniform(kernel_seed),
            name=layer_name,
        )(x)
        x = activate(x, layer_name, noise_seed)
    kernel_seed, _ = next(seeds)
    logits = keras.layers.Dense(
        classes,
        kernel_initializer=keras.initializers.GlorotUniform(kernel_seed),
        name="logits",
    )(x)
    return keras.Model(inputs, logits, name=name or f"vgg{depth}_{norm}")
