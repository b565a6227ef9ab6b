import itertools

import keras
import numpy as np
import pytest
from keras import layers
from packaging import version

from keras_bnsmooth import probes
from keras_bnsmooth.layers import LpNormalization, NoisyBatchNormalization
from keras_bnsmooth.probes.directions import random_direction

RNG = np.random.default_rng(0)


class Scale(layers.Layer):
    """Multiplies each element by a weight."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[1:], name="scale")

    def call(self, x):
        return x * self.scale


class Table(layers.Layer):
    """Adds a bias to each element."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], name="relative_bias_table")

    def call(self, x):
        return x + self.table


def built(layer, *shapes):
    """Returns a model of one layer, with random weights."""
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs if shapes[1:] else inputs[0], layer(*inputs))
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    return model


def drawn(model):
    """Returns (variable, its part of the direction, its weights) by path."""
    direction = random_direction("filter_normalized_random", model, seed=0)
    return {
        v.path.split("/", 1)[1]: (d.astype(np.float64), np.array(v.numpy(), np.float64))
        for v, d in zip(model.trainable_variables, direction, strict=True)
    }


def check_units(direction, weights, groups):
    """Each group of indices is a unit, as long in the direction as in the weights.

    Up to a factor that all share, which is returned.
    """
    ratios = [
        np.linalg.norm([direction[i] for i in group])
        / np.linalg.norm([weights[i] for i in group])
        for group in groups
    ]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)
    assert ratios[0] > 0
    return ratios[0]


# Layers whose outputs are linear in their kernel, their input shape, and the axes of
# their outputs along which units lie.
LINEAR = {
    "Dense": (layers.Dense(3), (4,), (1,)),
    "Conv1D": (layers.Conv1D(3, 2), (5, 2), (2,)),
    "Conv2D": (layers.Conv2D(3, 2), (3, 3, 2), (3,)),
    "Conv2D_groups": (layers.Conv2D(4, 2, groups=2), (3, 3, 4), (3,)),
    "Conv3D": (layers.Conv3D(2, 2), (2, 2, 2, 2), (4,)),
    "DepthwiseConv1D": (layers.DepthwiseConv1D(2, depth_multiplier=2), (4, 3), (2,)),
    "DepthwiseConv2D": (
        layers.DepthwiseConv2D(2, depth_multiplier=2),
        (3, 3, 3),
        (3,),
    ),
    "Conv1DTranspose": (layers.Conv1DTranspose(3, 2), (4, 2), (2,)),
    "Conv2DTranspose": (layers.Conv2DTranspose(3, 2), (3, 3, 2), (3,)),
    "Conv3DTranspose": (layers.Conv3DTranspose(3, 2), (2, 2, 2, 2), (4,)),
    "EinsumDense": (
        layers.EinsumDense("abc,cde->abde", (None, 3, 2), bias_axes="de"),
        (4, 5),
        (2, 3),
    ),
    "EinsumDense_in_last": (
        layers.EinsumDense("...x,yx->...y", 3, bias_axes="y"),
        (4,),
        (1,),
    ),
    "EinsumDense_per_position": (
        layers.EinsumDense("abc,bcd->abd", (4, 3), bias_axes="bd"),
        (4, 5),
        (1, 2),
    ),
    "TimeDistributed": (layers.TimeDistributed(layers.Dense(3)), (2, 4), (2,)),
    "SpectralNormalization": (
        layers.SpectralNormalization(layers.Dense(3)),
        (4,),
        (1,),
    ),
}


@pytest.mark.parametrize("name", LINEAR)
def test_a_unit_is_what_its_weights_move(name):
    layer, shape, unit_axes = LINEAR[name]
    model = built(type(layer).from_config(layer.get_config()), shape)
    x = RNG.normal(size=(2, *shape)).astype("float32")
    (variable,) = [v for v in model.trainable_variables if v.name == "kernel"]
    kernel = np.array(variable.numpy())

    def outputs(kernel):
        variable.assign(kernel)
        return keras.ops.convert_to_numpy(model(x, training=False))

    before = outputs(kernel)
    others = tuple(axis for axis in range(before.ndim) if axis not in unit_axes)
    groups = {}
    for index in np.ndindex(*kernel.shape):
        moved = kernel.copy()
        moved[index] += 1
        units = np.argwhere(np.any(outputs(moved) != before, axis=others))
        assert len(units) == 1
        groups.setdefault(tuple(units[0]), []).append(index)
    variable.assign(kernel)
    assert len(groups) == np.prod([before.shape[axis] for axis in unit_axes])
    for path, (direction, weights) in drawn(model).items():
        if path.endswith("kernel"):
            check_units(direction, weights, groups.values())
        else:
            assert not direction.any(), path


def units_along(axes):
    """Returns a function that groups all indices of an array by those along `axes`."""

    def groups(array):
        found = {}
        for index in np.ndindex(*array.shape):
            found.setdefault(tuple(index[axis] for axis in axes), []).append(index)
        return found.values()

    return groups


GATES = {"kernel": [1], "recurrent_kernel": [1]}
HEADS = {
    "query/kernel": [1, 2],
    "key/kernel": [1, 2],
    "value/kernel": [1, 2],
    "attention_output/kernel": [2],
}
# Axes of the units of all weights that move.
OTHERS = {
    "SeparableConv1D": (
        lambda: built(layers.SeparableConv1D(3, 2, depth_multiplier=2), (5, 4)),
        {"depthwise_kernel": [1, 2], "pointwise_kernel": [2]},
    ),
    "SeparableConv2D": (
        lambda: built(layers.SeparableConv2D(3, 2, depth_multiplier=2), (4, 4, 3)),
        {"depthwise_kernel": [2, 3], "pointwise_kernel": [3]},
    ),
    "Embedding": (lambda: built(layers.Embedding(6, 4), (3,)), {"embeddings": [1]}),
    "SimpleRNN": (
        lambda: built(layers.SimpleRNN(3), (4, 2)),
        {f"simple_rnn_cell/{k}": axes for k, axes in GATES.items()},
    ),
    "LSTM": (
        lambda: built(layers.LSTM(3), (4, 2)),
        {f"lstm_cell/{k}": axes for k, axes in GATES.items()},
    ),
    "GRU": (  # whose bias has two axes
        lambda: built(layers.GRU(3), (4, 2)),
        {f"gru_cell/{k}": axes for k, axes in GATES.items()},
    ),
    "Bidirectional": (
        lambda: built(layers.Bidirectional(layers.GRU(3, name="gru")), (4, 2)),
        {
            f"{side}_gru/gru_cell/{k}": axes
            for side in ("forward", "backward")
            for k, axes in GATES.items()
        },
    ),
    "ConvLSTM2D": (
        lambda: built(layers.ConvLSTM2D(2, 2), (2, 4, 4, 3)),
        {f"conv_lstm_cell/{k}": [3] for k in GATES},
    ),
    "MultiHeadAttention": (
        lambda: built(layers.MultiHeadAttention(2, 3), (4, 5), (3, 5)),
        HEADS,
    ),
    "GroupQueryAttention": (
        lambda: built(layers.GroupQueryAttention(3, 4, 2), (4, 5), (3, 5)),
        HEADS,
    ),
}
# Layers without an output unit of their own.
NO_UNITS = {
    "BatchNormalization": (layers.BatchNormalization, (4, 3)),
    "NoisyBatchNormalization": (NoisyBatchNormalization, (4, 3)),
    "LpNormalization": (LpNormalization, (4, 3)),
    "GroupNormalization": (lambda: layers.GroupNormalization(1), (4, 3)),
    "RMSNormalization": (lambda: layers.RMSNormalization(axis=(1, 2)), (4, 3)),
    "LayerNormalization": (lambda: layers.LayerNormalization(axis=(1, 2)), (4, 3)),
    "PReLU": (layers.PReLU, (4, 3)),
    "Scale": (Scale, (4, 3)),
    "Table": (Table, (4, 3)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_units_of_layers_that_are_not_linear(name):
    build, axes = OTHERS[name]
    found = drawn(build())
    assert set(axes) <= set(found)
    ratios = []
    for path, (direction, weights) in found.items():
        if path in axes:
            groups = units_along(axes[path])(weights)
            ratios.append(check_units(direction, weights, groups))
        else:
            assert not direction.any(), path
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)


@pytest.mark.parametrize("name", NO_UNITS)
def test_shifts_and_scales_do_not_move(name):
    old = version.parse(keras.__version__) < version.parse("3.14")
    if name == "RMSNormalization" and old:
        pytest.skip("Keras does not build it for several axes")
    make, shape = NO_UNITS[name]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layers.Dense(2)(make()(inputs)))
    moved = [path for path, (direction, _) in drawn(model).items() if direction.any()]
    assert moved == ["kernel"]


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="wraps torch modules")
@pytest.mark.parametrize("groups", [1, 2])
def test_units_of_torch_modules(groups):
    from torch import nn

    parts = {
        "linear": (nn.Linear(4, 6), [0]),
        "conv": (nn.Conv2d(4, 6, 2, groups=groups), [0]),
        "transposed": (nn.ConvTranspose2d(4, 6, 2, groups=groups), [1]),
        "embedding": (nn.Embedding(5, 4), [1]),
        "norm": (nn.LayerNorm((4, 6)), None),
    }
    for name, (module, axes) in parts.items():
        wrapper = layers.TorchModuleWrapper(nn.Sequential(module, nn.Linear(4, 4)))
        model = keras.Sequential([wrapper])
        direction = random_direction("filter_normalized_random", model, seed=0)[0]
        weights = np.array(model.trainable_variables[0].numpy(), np.float64)
        if axes is None:
            assert not direction.any()
            continue
        units = units_along(axes)(weights)
        if name == "transposed":
            # Input channels of a group produce the outputs of that group.
            units = [
                [index for index in unit if index[0] // (4 // groups) == group]
                for unit in units
                for group in range(groups)
            ]
        check_units(direction, weights, units)


def test_additive_attention_has_one_unit():
    inputs = [keras.Input((4, 3)), keras.Input((5, 3))]
    model = keras.Model(inputs, layers.Dense(2)(layers.AdditiveAttention()(inputs)))
    found = drawn(model)
    scale = check_units(*found["scale"], units_along([])(found["scale"][1]))
    kernel = check_units(*found["kernel"], units_along([1])(found["kernel"][1]))
    assert scale == pytest.approx(kernel, rel=1e-5)


def test_landscape_of_a_depthwise_convolution_equals_a_loop():
    keras.utils.set_random_seed(0)
    layer = layers.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False)
    model = built(layer, (3, 3, 3))
    model.compile("sgd", "mse")
    x, y = RNG.normal(size=(4, 3, 3, 3)), RNG.normal(size=(4, 2, 2, 6))
    kernel = np.array(layer.kernel.numpy(), np.float64)

    def predict(kernel):
        out = np.zeros(y.shape)
        places = itertools.product(range(2), range(2), range(3), range(2))
        for row, column, channel, multiple in places:
            patch = x[:, row : row + 2, column : column + 2, channel]
            out[:, row, column, 2 * channel + multiple] = np.einsum(
                "nij,ij->n", patch, kernel[:, :, channel, multiple]
            )
        return out

    noise = np.random.default_rng(3).standard_normal(kernel.shape)
    for channel, multiple in itertools.product(range(3), range(2)):
        part = noise[:, :, channel, multiple]
        length = np.linalg.norm(kernel[:, :, channel, multiple])
        part *= length / np.linalg.norm(part)
    error = predict(kernel) - y
    gradient = np.zeros(kernel.shape)
    for index in np.ndindex(*kernel.shape):
        unit = np.zeros(kernel.shape)
        unit[index] = 1
        gradient[index] = 2 * np.mean(error * predict(unit))
    direction = noise / np.linalg.norm(noise) * np.linalg.norm(gradient)
    step_sizes = [0.5, 2.0]
    expected = [np.mean((predict(kernel - s * direction) - y) ** 2) for s in step_sizes]
    r = probes.landscape(
        model, x, y, step_sizes, direction="filter_normalized_random", seed=3
    )
    np.testing.assert_allclose(r.losses, expected, rtol=1e-5)
