"""Which weights of a layer produce which of its output units."""

import keras

from keras_bnsmooth import keras_model

_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
# These shift and scale units that other weights produce. Keras gives such names to the
# parameters of its normalizations, of PReLU and of scaled attention.
_SHIFTS_AND_SCALES = ("beta", "gamma", "alpha", "scale", "offset", "shift")


def output_axes(model: keras.Model) -> list[tuple[int, ...] | None]:
    """Returns the axes of each trainable variable along which output units lie.

    An index along these axes is an output unit; its weights lie along all other axes.
    That is the last axis for dense layers, convolutions, embeddings and the gates of
    recurrent cells, the axis of the outputs for transposed convolutions, channel and
    multiplier for depthwise convolutions, and for `EinsumDense`, which attention
    consists of, the axes of the kernel that its outputs have. The scale of
    `AdditiveAttention` produces a single unit. Other layers count as dense ones.

    Args:
        model: A built `keras.Model`.

    Returns:
        One tuple of non-negative axes per variable in `model.trainable_variables`. None
        for those that produce no unit but shift or scale those of others: vectors and
        scalars, and whatever is named a bias, beta, gamma, alpha, scale, offset or
        shift.
    """
    owners: dict[int, keras.layers.Layer] = {}
    for layer in keras_model.flat_layers(model):
        for variable in keras_model.own_trainable_variables(layer):
            owners.setdefault(id(variable), layer)
    return [_axes(owners.get(id(v)), v) for v in model.trainable_variables]


def _axes(layer, variable):
    rank, name = len(variable.shape), variable.name
    if isinstance(layer, keras.layers.AdditiveAttention):
        return ()
    if rank < 2 or "bias" in name or name.endswith(_SHIFTS_AND_SCALES):
        return None
    if isinstance(layer, _DEPTHWISE) or name == "depthwise_kernel":
        return rank - 2, rank - 1
    if isinstance(layer, _TRANSPOSED):
        return (rank - 2,)
    if isinstance(layer, keras.layers.EinsumDense) and name == "kernel":
        operands, outputs = layer.equation.split("->")
        kernel = operands.split(",")[1]
        return tuple(axis for axis, label in enumerate(kernel) if label in outputs)
    if isinstance(layer, keras.layers.TorchModuleWrapper):
        return _axes_of_torch(layer, variable)
    return (rank - 1,)


def _axes_of_torch(wrapper, variable):
    import torch

    modules = list(wrapper.module.modules())
    owner = next(
        module
        for module in modules
        if any(variable.value is p for p in module.parameters(recurse=False))
    )
    if isinstance(owner, (torch.nn.LayerNorm, torch.nn.RMSNorm)):
        return None
    if isinstance(owner, (torch.nn.Embedding, torch.nn.EmbeddingBag)):
        return (1,)
    if isinstance(owner, torch.nn.modules.conv._ConvTransposeNd):
        # With groups a unit is part of both axes; a filter per pair of channels is as
        # long as it should be, and so is the unit.
        return (1,) if owner.groups == 1 else (0, 1)
    return (0,)
