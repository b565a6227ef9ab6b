"""The layers of a model in the order in which the paper counts them."""

from collections.abc import Iterator
from typing import NamedTuple

import keras

from keras_bnsmooth import keras_model
from keras_bnsmooth.layers import LpNormalization

BATCH_NORMALIZATIONS = (keras.layers.BatchNormalization, LpNormalization)
NORMALIZATIONS = (
    *BATCH_NORMALIZATIONS,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
)

Path = tuple[str, ...]


class WeightLayer(NamedTuple):
    """A layer that owns trainable weights.

    Attributes:
        name: Its name, preceded by the names of the enclosing layers if another layer
            of the model has the same name.
        positions: Positions of its weights in `model.trainable_variables`.
    """

    name: str
    positions: tuple[int, ...]


def weight_layers(
    model: keras.Model, join_normalizations: bool = False
) -> list[WeightLayer]:
    """Returns the layers that own trainable weights, in the order of `model.layers`.

    Nested models are flattened in place, and so are layers made of layers: a
    bidirectional LSTM counts as two cells. Normalization layers count as layers. A
    layer that is used several times counts once, at its first position, and so does a
    weight shared by several layers. Frozen weights do not count.

    Args:
        model: A built `keras.Model`.
        join_normalizations: Whether the weights of a normalization belong to the layer
            before it, unless they are the first in the model.
    """
    position = {id(v): i for i, v in enumerate(model.trainable_variables)}
    found: list[tuple[Path, tuple[int, ...]]] = []
    for path, layer in walk(model):
        # The first layer that owns a variable takes it.
        own = [
            position.pop(id(v), None)
            for v in keras_model.own_trainable_variables(layer)
        ]
        taken = tuple(i for i in own if i is not None)
        joined = join_normalizations and isinstance(layer, NORMALIZATIONS)
        if taken and found and joined:
            before, positions = found[-1]
            found[-1] = before, positions + taken
        elif taken:
            found.append((path, taken))
    names = unique_names([path or (model.name,) for path, _ in found])
    return [WeightLayer(name, own) for name, (_, own) in zip(names, found, strict=True)]


def walk(model: keras.Model) -> Iterator[tuple[Path, keras.layers.Layer]]:
    """Yields (path, layer) for the model and every layer in it, outermost first.

    The path holds the names of the enclosing layers, without that of the model, and
    the layer's own name; it is empty for the model itself.
    """
    seen = set()

    def visit(layer, path):
        if id(layer) in seen:
            return
        seen.add(id(layer))
        yield path, layer
        for part in keras_model.sublayers(layer):
            yield from visit(part, (*path, part.name))

    yield from visit(model, ())


def places_among_linear_layers(model: keras.Model) -> dict[int, int]:
    """Returns, by the id of each layer, the index of the last linear layer up to it.

    Linear layers are those that own a kernel, such as `Dense` and `Conv2D`, counted
    from 0 in the order of `walk`. Normalizations own none, so networks with and without
    them count alike, and a normalization has the place of the linear layer before it. A
    layer made of layers has the place of the last one in it. Layers before the first
    linear layer have place 0, too.
    """
    places: dict[int, int] = {}
    count = 0

    def visit(layer):
        nonlocal count
        if id(layer) in places:
            return
        places[id(layer)] = 0  # visited
        own = keras_model.own_trainable_variables(layer)
        count += any(variable.name.endswith("kernel") for variable in own)
        for part in keras_model.sublayers(layer):
            visit(part)
        places[id(layer)] = max(0, count - 1)

    visit(model)
    return places


def unique_names(paths: list[Path]) -> list[str]:
    """Returns the last name of each path, or the whole path where that is ambiguous."""
    last = [path[-1] for path in paths]
    return [
        name if last.count(name) == 1 else "/".join(path)
        for name, path in zip(last, paths, strict=True)
    ]
