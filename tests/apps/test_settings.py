from apps.settings import linear_layers, preactivation

LAYERS = ["one", "one_bn", "two", "two_bn", "last"]


def test_normalizations_are_not_layers_that_both_networks_have():
    assert linear_layers(LAYERS, "bn") == ["one", "two", "last"]


def test_activations_are_those_after_the_normalization():
    assert preactivation(LAYERS, "two", "bn") == "two_bn"
    assert preactivation(LAYERS, "last", "bn") == "last"
