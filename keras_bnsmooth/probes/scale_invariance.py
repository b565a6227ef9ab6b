"""Weights whose length does not matter because a normalization follows them."""

from collections import Counter

import keras

from keras_bnsmooth import keras_model
from keras_bnsmooth.layers import LpNormalization
from keras_bnsmooth.probes.layer_list import (
    BATCH_NORMALIZATIONS,
    NORMALIZATIONS,
    walk,
)

# Their outputs are linear in `kernel` and `bias` together.
_LINEAR = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)
# f(a x) = a f(x) for a > 0.
_HOMOGENEOUS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Permute,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.MaxPooling3D,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.AveragePooling3D,
)
_HOMOGENEOUS_ACTIVATIONS = (keras.activations.linear, keras.activations.relu)


def scale_invariant_weights(model: keras.Model) -> list[tuple[int, ...]]:
    """Returns the sets of weights that a normalization makes scale-invariant.

    Multiplying all weights of such a set by a number a > 0 changes no output of the
    model, up to the normalization's epsilon: the output of the layer is multiplied by
    a, and so is the statistic by which the normalization divides. The set holds the
    kernel and the bias of a dense or (depthwise, transposed) convolutional layer. It
    holds the kernel alone if the normalization is the very next layer and subtracts
    from each unit its mean over the batch, since no output depends on that bias.

    A layer counts if normalizations follow it wherever it is used, directly or after
    dropout, zero padding, reshaping, max or average pooling and ReLU. Normalizations
    are Keras' `BatchNormalization`, `LayerNormalization`, `GroupNormalization`,
    `RMSNormalization` and `UnitNormalization`, and `LpNormalization` and
    `NoisyBatchNormalization`. What follows a layer is known inside Functional and
    Sequential models, nested ones too, but not across the border of a nested model,
    and not where a subclass calls its layers itself: layers there do not count.

    Args:
        model: A built `keras.Model`.

    Returns:
        A list with a tuple of positions in `model.trainable_variables` per set.
    """
    position = {id(v): i for i, v in enumerate(model.trainable_variables)}
    layers = [layer for _, layer in walk(model)]
    owners = Counter(
        id(v) for layer in layers for v in keras_model.own_trainable_variables(layer)
    )
    followers: dict[int, list] = {}
    for layer in layers:
        for producer, consumer in keras_model.graph_edges(layer):
            followers.setdefault(id(producer), []).append(consumer)

    found = []
    for layer in layers:
        if not (
            isinstance(layer, _LINEAR)
            and layer.activation in _HOMOGENEOUS_ACTIVATIONS
            and _is_normalized(layer, followers)
        ):
            continue
        weights = [layer.kernel]
        after = followers[id(layer)]
        if layer.bias is not None and not all(_removes_bias(layer, n) for n in after):
            weights.append(layer.bias)
        # Others may use shared weights, and frozen ones do not move.
        if all(id(v) in position and owners[id(v)] == 1 for v in weights):
            found.append(tuple(position[id(v)] for v in weights))
    return found


def _is_normalized(layer, followers):
    after = followers.get(id(layer), [])
    return bool(after) and all(
        _is_normalization(n) or (_is_homogeneous(n) and _is_normalized(n, followers))
        for n in after
    )


def _is_normalization(layer):
    # Frozen ones use moving statistics, which do not follow the weights.
    frozen = isinstance(layer, BATCH_NORMALIZATIONS) and not layer.trainable
    return isinstance(layer, NORMALIZATIONS) and not frozen


def _removes_bias(layer, follower):
    """Whether a normalization subtracts each unit's mean, and with it the bias."""
    if isinstance(follower, LpNormalization):
        # Otherwise the bias counts in the norm of the raw activations.
        centered = follower.norm_after_centering
    else:
        centered = isinstance(follower, keras.layers.BatchNormalization)
    if not centered or layer.activation is not keras.activations.linear:
        return False
    if isinstance(layer, keras.layers.EinsumDense):
        return False  # its bias may have any axes
    rank = len(layer.output.shape)
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return follower.axis % rank == (1 if first else rank - 1)


def _is_homogeneous(layer):
    if isinstance(layer, keras.layers.ReLU):
        return layer.max_value is None and layer.threshold == 0
    if isinstance(layer, keras.layers.Activation):
        return layer.activation in _HOMOGENEOUS_ACTIVATIONS
    return isinstance(layer, _HOMOGENEOUS)
