"""Values of single units over a batch (figures 1c, 2, 7, 8 and 14 of the paper)."""

import contextlib
import threading
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff, keras_model
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.probes.arguments import to_tensors
from keras_bnsmooth.probes.determinism import raise_changed, relative_tolerance
from keras_bnsmooth.probes.layer_list import (
    places_among_linear_layers,
    unique_names,
    walk,
)

# In place of a unit: why a layer cannot be followed.
_NOT_CALLED, _INSIDE, _NO_UNITS = -1, -2, -3
_REASONS = {
    _NOT_CALLED: "is not called during training",
    _INSIDE: "is called inside a loop or a rematerialized part of the model",
    _NO_UNITS: "does not return a single tensor [samples, ..., units]",
}


def activations(
    model: keras.Model,
    x: Any,
    *,
    layers: Iterable[str] | None = None,
    units: int | Mapping[str, int] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Returns the outputs of one unit per layer over a batch.

    The model runs in training mode, so normalizations use the batch and noise is drawn,
    but moving statistics and seeds do not change. For a layer that is called several
    times, the first call counts.

    Args:
        model: A built `keras.Model`; it need not be compiled.
        x: Inputs of one batch, as `model.fit` takes them.
        layers: Names of layers, as `model.get_layer` takes them, or paths such as
            `"encoder/dense"` in nested models. Defaults to every layer that has
            trainable weights, with nested models flattened; those that cannot be
            followed are then left out with a warning: layers that do not return a
            single tensor, such as an LSTM that returns its states, that the model does
            not call as a whole, or that run inside a loop.
        units: Index of the unit (feature or channel) to follow, either one integer for
            all layers or a dict from names to integers. Defaults to a random unit, also
            for layers missing from the dict.
        seed: Integer that determines random units. A unit also depends on the layer's
            number of units and its place among the layers that own a kernel (`Dense`,
            `Conv2D`, ...), and on nothing else: a normalization follows the same unit
            as the linear layer before it, and networks with and without normalization
            follow the same units.

    Returns:
        Dict from layer name to a 1-D float array with the unit's values over the batch
        and, if the outputs have such axes, over height, width or time.

    Raises:
        ValueError: The model is not built, there is no such layer or unit, or a
            layer that was named, or every layer, cannot be followed; or activations
            change between two evaluations, because of random numbers that cannot be
            replayed.

    Example:
    ```python
    values = kb.probes.activations(model, x, layers=["conv1", "conv1_bn"])
    plt.hist(values["conv1_bn"], bins=64)
    ```
    """
    layers = None if layers is None else tuple(layers)
    with autodiff.objective(model, None):
        x, *_ = to_tensors(model, x)
        once(model, check_activations)(x, layers, units, seed)
        found = measure_activations(model, x, layers, units, seed)
    warn_of_layers_left_out(model, found)
    return {name: values for name, (_, values) in found.followed.items()}


class Activations(NamedTuple):
    """Activations of the layers that can be followed.

    Attributes:
        followed: {layer name: (unit, values)}.
        left_out: {layer name: why the layer cannot be followed}.
    """

    followed: dict[str, tuple[int, np.ndarray]]
    left_out: dict[str, str]

    @property
    def note(self) -> str:
        """Which layers are left out and why, a sentence; "" if none are."""
        reasons = ", ".join(f"{name} ({why})" for name, why in self.left_out.items())
        return f"Left out: {reasons}." if reasons else ""


def warn_of_layers_left_out(model: keras.Model, found: Activations) -> None:
    """Warns that layers are left out, if there are any, and says why."""
    if found.left_out:
        warnings.warn(
            f"Activations of {model.name}: {found.note} Name the layers to follow in "
            "layers=.",
            stacklevel=4,
        )


def check_activations(model: keras.Model, x: Any, layers, units, seed: int) -> None:
    """Raises a ValueError unless two evaluations give the same activations."""
    first, second = (
        measure_activations(model, x, layers, units, seed).followed for _ in range(2)
    )
    for name, (_, values) in first.items():
        again = second[name][1]
        scale = np.max(np.abs(values), initial=0.0)
        if np.any(np.abs(values - again) > relative_tolerance(model) * scale):
            raise_changed(model, f"output of {name}")


def measure_activations(
    model: keras.Model, x: Any, layers=None, units=None, seed: int = 0
) -> Activations:
    """Returns the `Activations` for inputs that are tensors.

    Raises:
        ValueError: There is no layer that can be followed, or one that was named cannot
            be.
    """
    if type(model).call is keras.Model.call:
        raise ValueError(
            f"{model.name} has no method `call` through which inputs reach its layers, "
            "so their activations cannot be followed; give it one."
        )
    names = tuple(layers_by_name(model, layers))
    units = _check_units(units, names)
    outputs = autodiff.compiled(model, _values, names=names, units=units, seed=seed)(x)
    followed, left_out = {}, {}
    for name, unit, (number, values) in zip(names, units, outputs, strict=True):
        number = int(number)
        if number >= 0:
            followed[name] = number, ops.convert_to_numpy(values)
        elif layers is None and unit is None:
            left_out[name] = _REASONS[number]
        else:
            raise ValueError(
                f"Layer {name} {_REASONS[number]}, so it cannot be followed; name "
                "other layers."
            )
    if not followed:
        raise ValueError(
            f"{model.name} has no layer with trainable weights that can be followed: "
            + ", ".join(f"{name} {why}" for name, why in left_out.items())
        )
    return Activations(followed, left_out)


def layers_by_name(
    model: keras.Model, names: Iterable[str] | None = None
) -> dict[str, keras.layers.Layer]:
    """Returns {name: layer} for the given names, or every layer that has weights.

    Raises:
        ValueError: There is no such layer.
    """
    layers = [(path, layer) for path, layer in walk(model) if path]
    if names is None:
        # Layers made of layers, such as a bidirectional LSTM, count as one here.
        layers = [
            (path, layer)
            for path, layer in _flattened(model)
            if layer.trainable_variables
        ]
    known = dict(
        zip(
            unique_names([path for path, _ in layers]),
            [layer for _, layer in layers],
            strict=True,
        )
    )
    if names is None:
        return known
    by_path = {"/".join(path): layer for path, layer in layers}
    for name in names:
        if name not in known and name not in by_path:
            raise ValueError(
                f"{model.name} has no layer {name!r}; it has {', '.join(known)}."
            )
    return {name: known.get(name) or by_path[name] for name in names}


def _flattened(model, path=()):
    """Yields (path, layer) for the layers of a model, nested models flattened."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _flattened(layer, (*path, layer.name))
        else:
            yield (*path, layer.name), layer


def _check_units(units, names):
    """Returns one unit, an integer or None, for each name."""
    if units is None or isinstance(units, (int, np.integer)):
        units = dict.fromkeys(names, units)
    unknown = set(units) - set(names)
    if unknown:
        raise ValueError(
            f"units names {', '.join(sorted(unknown))}, but the layers are "
            f"{', '.join(names)}."
        )
    return tuple(None if units.get(n) is None else int(units[n]) for n in names)


def _values(model, weights, state, x, names, units, seed):
    """Returns [(unit, values [n])] in the order of the names.

    For a layer that cannot be followed, the unit is a key of `_REASONS`.
    """
    layers = layers_by_name(model, names)
    places = places_among_linear_layers(model)
    chosen = []

    def values(x):
        with autodiff.evaluation(model, weights, state):
            recorded.outputs = {}
            recorded.trace = autodiff.trace()
            keras_model.call_model(model, x, training=True)
            outputs = recorded.outputs
        found = []
        for name, unit in zip(names, units, strict=True):
            layer = layers[name]
            draw = [seed, places[id(layer)]]
            found.append(_unit_values(name, layer, outputs.get(name), unit, draw))
        chosen[:] = [unit for unit, _ in found]
        return [values for _, values in found]

    with _recording(layers) as recorded:
        found = autodiff.run_on_replicas(model, values, x)
    return list(zip(chosen, found, strict=True))


@contextlib.contextmanager
def _recording(layers):
    """Context in which layers record the outputs of their first call.

    Yields an object whose `outputs` is a dict from layer name to outputs, one dict per
    thread, since TensorFlow calls the model in one thread per replica.

    Unlike a `keras.Model` of intermediate outputs, this works for models that are not
    functional and creates no Keras object.
    """
    recorded = threading.local()

    def recording(name, call):
        def recorded_call(*args, **kwargs):
            result = call(*args, **kwargs)
            # A value from inside a loop or a checkpoint is out of scope afterwards.
            inside = autodiff.trace() != recorded.trace
            recorded.outputs.setdefault(name, _INSIDE if inside else result)
            return result

        return recorded_call

    calls = [(layer, recording(name, layer.call)) for name, layer in layers.items()]
    with keras_model.replaced_calls(calls):
        yield recorded


def _has_units(output):
    return keras.ops.is_tensor(output) and len(output.shape) >= 2


def _unit_values(name, layer, output, unit, seed):
    if output is None:
        output = _NOT_CALLED
    elif output is not _INSIDE and not _has_units(output):
        output = _NO_UNITS
    if isinstance(output, int):
        return output, ops.zeros((0,))
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    axis = 1 if channels_first else getattr(layer, "axis", -1)
    if not isinstance(axis, int):
        axis = -1
    count = output.shape[axis]
    if unit is None:
        unit = int(np.random.default_rng(seed).integers(count))
    if not 0 <= unit < count:
        raise ValueError(
            f"Layer {name} has units 0 to {count - 1}; received unit {unit}."
        )
    return unit, ops.ravel(ops.take(output, unit, axis=axis))
