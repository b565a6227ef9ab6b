"""Weights said to be scale-invariant are, and those that are not are not said to be."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_bnsmooth.layers import LpNormalization, NoisyBatchNormalization
from keras_bnsmooth.probes.scale_invariance import scale_invariant_weights
from tests.probes import example_models

EPSILON = {"epsilon": 1e-12}
NORMALIZATIONS = [
    lambda: layers.BatchNormalization(**EPSILON),
    lambda: NoisyBatchNormalization(seed=0, **EPSILON),
    lambda: LpNormalization(p=1, **EPSILON),
    lambda: LpNormalization(p=2, norm_after_centering=True, **EPSILON),
    lambda: LpNormalization(p=np.inf, **EPSILON),
    lambda: layers.LayerNormalization(**EPSILON),
    lambda: layers.GroupNormalization(2, **EPSILON),
    lambda: layers.RMSNormalization(**EPSILON),
    lambda: layers.UnitNormalization(),
]
REMOVES_BIAS = (0, 1, 3)


def paths(model):
    """Sets of weights as the last two parts of their paths."""
    variables = model.trainable_variables
    return [
        ["/".join(variables[i].path.split("/")[-2:]) for i in positions]
        for positions in scale_invariant_weights(model)
    ]


def outputs(model, x):
    """Outputs in training mode, with the draws that are next in line."""
    state = [np.array(v.numpy()) for v in model.non_trainable_variables]
    result = keras.ops.convert_to_numpy(model(x, training=True))
    for variable, value in zip(model.non_trainable_variables, state, strict=True):
        variable.assign(value)
    return result


def randomize(model):
    rng = np.random.default_rng(0)
    for v in model.trainable_variables:
        v.assign(rng.normal(size=v.shape))


@pytest.mark.parametrize("number", range(len(NORMALIZATIONS)))
@pytest.mark.parametrize("between", [[], ["relu"], ["dropout", "pooling"]])
def test_scaling_them_changes_no_output(number, between):
    more = {
        "relu": layers.ReLU(),
        "dropout": layers.SpatialDropout2D(0.2, seed=1),
        "pooling": layers.MaxPooling2D(padding="same"),
    }
    model = keras.Sequential(
        [
            keras.Input((7, 7, 2)),
            layers.Conv2D(4, 3, name="conv"),
            *(more[name] for name in between),
            NORMALIZATIONS[number](),
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ]
    )
    randomize(model)
    expected = ["conv/kernel", "conv/bias"]
    if number in REMOVES_BIAS and not between:
        expected = expected[:1]
    assert paths(model) == [expected]
    x = np.random.default_rng(1).normal(size=(8, 7, 7, 2)).astype("float32")
    before = outputs(model, x)
    (positions,) = scale_invariant_weights(model)
    for i in positions:
        variable = model.trainable_variables[i]
        variable.assign(variable * 3)
    np.testing.assert_allclose(outputs(model, x), before, rtol=2e-3, atol=2e-3)
    # The head is another matter.
    head = model.get_layer("head").kernel
    head.assign(head * 3)
    assert np.abs(outputs(model, x) - before).max() > 0.1


def build(make, inputs=(6,)):
    inputs = keras.Input(inputs)
    model = keras.Model(inputs, make(inputs))
    return model


def dense(**arguments):
    return layers.Dense(6, name="dense", **arguments)


def norm(**arguments):
    return layers.BatchNormalization(**arguments)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: dense(activation="tanh")(x),
        lambda x: norm()(dense(activation="tanh")(x)),
        lambda x: norm()(layers.Activation("tanh")(dense()(x))),
        lambda x: norm()(layers.ReLU(max_value=6)(dense()(x))),
        lambda x: norm()(layers.Add()([dense()(x), x])),
        lambda x: norm()(keras.ops.exp(dense()(x))),
        lambda x: norm(trainable=False)(dense()(x)),
        lambda x: norm()(dense(trainable=False)(x)),
        lambda x: (lambda h: [h, norm()(h)])(dense()(x)),
        lambda x: (lambda h: layers.Add()([h, norm()(h)]))(dense()(x)),
        lambda x: (lambda d: d(norm()(d(x))))(dense()),
        lambda x: norm()(keras.Sequential([dense()])(x)),
        lambda x: norm()(layers.PReLU()(dense()(x))),
    ],
)
def test_layers_whose_length_matters_or_is_not_known(make):
    assert paths(build(make)) == []


def test_layers_used_twice_and_in_nested_models():
    def twice(x):
        d = dense()
        return layers.Add()([norm()(d(x)), norm()(d(layers.Activation("tanh")(x)))])

    assert paths(build(twice)) == [["dense/kernel"]]
    model, _ = example_models.nested()
    (positions,) = scale_invariant_weights(model)
    (kernel,) = (model.trainable_variables[i] for i in positions)
    assert kernel is model.get_layer("block").layers[0].kernel


def test_relu_and_other_axes_keep_the_bias():
    for make in (
        lambda x: norm()(dense(activation="relu")(x)),
        lambda x: norm(axis=1)(dense()(x)),
    ):
        assert paths(build(make, (5, 6))) == [["dense/kernel", "dense/bias"]]
    # The same axis, counted from the other end.
    assert paths(build(lambda x: norm(axis=2)(dense()(x)), (5, 6))) == [
        ["dense/kernel"]
    ]


def test_subclassed_models_are_not_known():
    model, _ = example_models.subclassed()
    assert scale_invariant_weights(model) == []


def test_a_kernel_that_two_layers_own_is_not_known():
    model = build(lambda x: dense()(norm()(layers.Dense(6, use_bias=False)(x))))
    first, _, second = model.layers[1:]
    assert len(scale_invariant_weights(model)) == 1
    second._trainable_variables.append(first.kernel)
    assert scale_invariant_weights(model) == []
