from apps.settings import linear_layers

LAYERS = ["one", "one_bn", "two", "two_bn", "last"]


def test_normalizations_are_not_layers_that_both_networks_have():
    assert linear_layers(LAYERS, "bn") == ["one", "two", "last"]
