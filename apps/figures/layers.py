"""Which layers of a network a figure shows as examples."""


def linear_layers(record, norm):
    """Returns the layers that every norm's network has: all but the normalizations.

    Args:
        record: Columns with `layers`, from input to output.
        norm: Of the network that it was measured on.
    """
    return [str(name) for name in record["layers"][0] if not name.endswith(f"_{norm}")]


def spread(layers, count):
    """Returns `count` layers at equal distances in depth, as (number, name).

    Two layers are those at a third and at two thirds of the depth.
    """
    numbers = [round(len(layers) * i / (count + 1)) for i in range(1, count + 1)]
    return [(number, layers[number - 1]) for number in dict.fromkeys(numbers) if number]


def output_of(record, layer, norm):
    """Returns the layer that the activation function is applied to.

    It is the normalization after `layer` where the record has one, else `layer`.
    """
    normalized = f"{layer}_{norm}"
    return normalized if normalized in record["layers"][0] else layer


def of_layer(record, layer):
    """Returns the record of one layer: `step`, and columns without the layer's axis."""
    column = list(record["layers"][0]).index(layer)
    return {
        name: values if values.ndim == 1 else values[:, column]
        for name, values in record.items()
    }
