import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy

from keras_bnsmooth import probes
from keras_bnsmooth.layers import LpNormalization, NoisyBatchNormalization
from keras_bnsmooth.probes.activations import measure_activations
from tests.probes import example_models


def test_values_are_those_of_a_model_of_intermediate_outputs():
    model, (x, _) = example_models.bn_cnn()
    model.fit(x, example_models.bn_cnn()[1][1], verbose=0)
    names = ["conv1", "norm1", "conv2", "norm2", "logits"]
    values = probes.activations(model, x, units=1)
    assert list(values) == names
    intermediate = keras.Model(
        model.inputs, [model.get_layer(name).output for name in names]
    )
    for name, output in zip(names, intermediate(x, training=True), strict=True):
        expected = convert_to_numpy(output)[..., 1].ravel()
        np.testing.assert_allclose(values[name], expected, rtol=1e-5, atol=1e-6)
        assert values[name].ndim == 1


def test_random_units_depend_on_the_seed_alone():
    model, (x, _) = example_models.mlp()
    first = probes.activations(model, x, seed=0)
    np.testing.assert_array_equal(
        first["dense1"], probes.activations(model, x)["dense1"]
    )
    seen = {probes.activations(model, x, seed=s)["dense1"].tobytes() for s in range(20)}
    assert len(seen) > 5


def chain(norm, seed=None):
    """Convolutions and dense layers, with or without a normalization after each."""

    def normalized(x):
        return x if norm is None else norm()(x)

    x = inputs = keras.Input((8, 8, 2))
    x = keras.layers.Rescaling(2.0, name="first")(x)
    for number in range(3):
        x = keras.layers.Conv2D(64, 3, padding="same", name=f"conv{number}")(x)
        x = keras.layers.ReLU()(normalized(x))
    x = keras.layers.SeparableConv2D(64, 3, name="separable")(x)
    x = keras.layers.GlobalAveragePooling2D()(normalized(x))
    inner = [keras.Input((64,)), keras.layers.Dense(64, name="inside")]
    inner += [] if norm is None else [norm()]
    x = keras.Sequential([*inner, keras.layers.ReLU()], name="block")(x)
    return keras.Model(inputs, keras.layers.Dense(64, name="last")(x))


def chosen_units(model, **arguments):
    x = example_models.bn_cnn()[1][0]
    followed, _ = measure_activations(model, x, **arguments)
    return {name: unit for name, (unit, _) in followed.items()}


LINEAR = ["conv0", "conv1", "conv2", "separable", "inside", "last"]


@pytest.mark.parametrize(
    "norm", [keras.layers.BatchNormalization, LpNormalization, NoisyBatchNormalization]
)
def test_networks_with_and_without_normalization_show_the_same_units(norm):
    plain = chosen_units(chain(None))
    assert list(plain) == LINEAR
    # Independently: the generator of (seed, place among the linear layers).
    expected = [int(np.random.default_rng([0, i]).integers(64)) for i in range(6)]
    assert list(plain.values()) == expected
    assert len(set(expected)) > 3
    normalized = chosen_units(chain(norm))
    assert len(normalized) == 6 + 5
    assert {name: normalized[name] for name in LINEAR} == plain
    units = list(normalized.values())
    assert units[0:10:2] == units[1:10:2]  # a normalization's is the one before it


def test_a_unit_does_not_depend_on_what_else_is_named():
    model = chain(keras.layers.BatchNormalization)
    units = chosen_units(model)
    assert chosen_units(model, layers=["last", "conv1"]) == {
        name: units[name] for name in ("last", "conv1")
    }
    block = chosen_units(model, layers=["block", "first"])
    # A model's is that of the last linear layer in it.
    assert block["block"] == units["inside"]
    assert block["first"] == np.random.default_rng([0, 0]).integers(2)


def test_units_for_single_layers():
    model, (x, _) = example_models.mlp()
    everything = model.get_layer("dense1")(x)
    values = probes.activations(model, x, units={"dense1": 3})
    np.testing.assert_allclose(
        values["dense1"], convert_to_numpy(everything)[:, 3], rtol=1e-5
    )
    assert list(values) == ["dense1", "dense2"]


@pytest.mark.parametrize(
    "build", example_models.KINDS, ids=lambda build: build.__name__
)
def test_runs_on_any_model(build):
    model, batch = build()
    for values in probes.activations(model, batch[0]).values():
        assert values.ndim == 1
        assert np.isfinite(values).all()


def test_channels_first_units_are_on_axis_one():
    inputs = keras.Input((2, 5))
    conv = keras.layers.Conv1D(3, 1, data_format="channels_first", name="conv")
    model = keras.Model(inputs, conv(inputs))
    x = np.random.default_rng(0).normal(size=(4, 2, 5))
    values = probes.activations(model, x, units=2)["conv"]
    np.testing.assert_allclose(
        values, convert_to_numpy(model(x))[:, 2].ravel(), rtol=1e-5
    )


def test_any_layer_by_name_without_compiling():
    model, (x, _) = example_models.nested()
    uncompiled = keras.models.clone_model(model)
    (relu,) = probes.activations(uncompiled, x, layers=["block"]).values()
    assert relu.shape == (8,)


def test_layers_are_themselves_again():
    model, (x, _) = example_models.mlp()
    before = {layer.name: set(vars(layer)) for layer in model.layers}
    probes.activations(model, x)
    with pytest.raises(ValueError):
        probes.activations(model, x, units=1000)
    assert {layer.name: set(vars(layer)) for layer in model.layers} == before


def test_a_frozen_normalization_without_weights_uses_moving_statistics():
    norm = keras.layers.BatchNormalization(center=False, scale=False, name="norm")
    model = keras.Sequential([keras.Input((3,)), norm])
    x = np.arange(12, dtype="float32").reshape(4, 3)
    of_batch = probes.activations(model, x, layers=["norm"], units=0)["norm"]
    np.testing.assert_allclose(of_batch.mean(), 0, atol=1e-6)
    norm.trainable = False
    moving = probes.activations(model, x, layers=["norm"], units=0)["norm"]
    np.testing.assert_allclose(moving, x[:, 0] / np.sqrt(1 + 1e-3), rtol=1e-6)


def test_rejects_unknown_layers_and_units():
    model, (x, _) = example_models.mlp()
    with pytest.raises(ValueError, match=r"no layer 'dense9'; it has .*dense1, dense2"):
        probes.activations(model, x, layers=["dense9"])
    with pytest.raises(ValueError, match="units names dense9"):
        probes.activations(model, x, units={"dense9": 0})
    with pytest.raises(ValueError, match="has units 0 to 15; received unit 16"):
        probes.activations(model, x, units={"dense1": 16})


def test_a_model_without_call_is_refused():
    class Parts(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])

        def train_step(self, data):
            raise NotImplementedError

    with pytest.raises(ValueError, match="has no method `call`"):
        probes.activations(Parts(), np.zeros((2, 4), "float32"))
