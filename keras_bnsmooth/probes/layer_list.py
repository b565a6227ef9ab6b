"""The layers of a model in the order in which the paper counts them."""

from typing import NamedTuple


class WeightLayer(NamedTuple):
    """A layer that owns trainable weights.

    Attributes:
        name: Its name, preceded by those of the layers around it if another layer
            of the model has the same name.
        positions: Where its weights stand in `model.trainable_variables`.
    """

    name: str
    positions: tuple[int, ...]


def weight_layers(model):
    """Returns the layers that own trainable weights, in the order of `model.layers`.

    Nested models are flattened in place, and so are layers made of layers: a
    bidirectional LSTM is two cells. Normalization layers are layers of their own. A
    layer that is used several times counts once, at its first place, and so does a
    weight that several layers share. Frozen weights do not count.

    Args:
        model: A built `keras.Model`.

    Returns:
        A list of `WeightLayer`.
    """
    position = {id(v): i for i, v in enumerate(model.trainable_variables)}
    found = []
    for path, layer in walk(model):
        # A variable is taken by the first layer that owns it.
        own = [position.pop(id(v), None) for v in layer._trainable_variables]
        own = tuple(i for i in own if i is not None)
        if own:
            found.append((path, own))
    names = unique_names([path or (model.name,) for path, _ in found])
    return [WeightLayer(name, own) for name, (_, own) in zip(names, found, strict=True)]


def walk(model):
    """Yields (path, layer) for the model and every layer in it, outermost first.

    The path is the tuple of the names of the layers around it, without that of the
    model, and its own; it is empty for the model itself.
    """
    seen = set()

    def visit(layer, path):
        if id(layer) in seen:
            return
        seen.add(id(layer))
        yield path, layer
        for part in layer._flatten_layers(include_self=False, recursive=False):
            yield from visit(part, (*path, part.name))

    yield from visit(model, ())


def unique_names(paths):
    """Returns the last name of each path, or all of them where that is ambiguous."""
    last = [path[-1] for path in paths]
    return [
        name if last.count(name) == 1 else "/".join(path)
        for name, path in zip(last, paths, strict=True)
    ]
