import numpy as np

from apps.figures.layers import linear_layers, of_layer, output_of, spread

RECORD = {
    "step": np.array([0, 5]),
    "layers": np.array([["one", "one_bn", "two", "two_bn", "last"]] * 2),
    "mean": np.arange(10.0).reshape(2, 5),
}


def test_normalizations_are_no_layers_that_both_networks_have():
    assert linear_layers(RECORD, "bn") == ["one", "two", "last"]


def test_activations_are_those_after_the_normalization():
    assert output_of(RECORD, "two", "bn") == "two_bn"
    assert output_of(RECORD, "last", "bn") == "last"


def test_two_layers_are_at_a_third_and_two_thirds_of_the_depth():
    layers = [f"conv{number}" for number in range(1, 17)]
    assert spread(layers, 2) == [(5, "conv5"), (11, "conv11")]
    assert spread(["a", "b"], 6) == [(1, "a"), (2, "b")]


def test_the_record_of_a_layer_is_its_column():
    shown = of_layer(RECORD, "two")
    np.testing.assert_array_equal(shown["mean"], [2, 7])
    np.testing.assert_array_equal(shown["step"], [0, 5])
