"""The layers of a model, and the global generator that they may draw from."""

import contextlib
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.layers import input_spec
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR


def layers_frozen_since_compile(model: keras.Model) -> list[str]:
    """Returns the names of layers that were frozen or unfrozen since `compile`."""
    state = getattr(model, "_compiled_trainable_state", {})  # new in Keras 3.14
    return [
        layer.name
        for layer in flat_layers(model)
        if layer.trainable != state.get(layer, layer.trainable)
    ]


def options_of_layers(model: keras.Model) -> dict[str, Any]:
    """Returns what a trace of the model depends on, by the names of its parts.

    That is the configuration of Keras' own layers, whether any layer is trainable, and
    the regularizer and constraint of each variable.
    """
    options: dict[str, Any] = {
        v.path: (v.regularizer, v.constraint) for v in model.trainable_variables
    }
    for layer in flat_layers(model):
        own = type(layer).__module__.startswith("keras.")
        own &= not sublayers(layer)  # whose options are looked at one by one
        options[layer.path] = (layer.trainable, _configuration(layer) if own else None)
    return options


def _configuration(layer):
    """Returns the configuration of a layer, and its functions, in comparable form."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lambdas, which are unsafe to save
            configuration = _without_code(layer.get_config())
    except Exception:
        configuration = None  # some layers can be trained but not saved
    functions = [f for f in vars(layer).values() if isinstance(f, types.FunctionType)]
    # As text, since arrays do not compare.
    return repr(configuration), functions


def _without_code(configuration):
    """Removes byte code, in which Python also writes how often constants are used."""
    if isinstance(configuration, dict):
        if configuration.get("class_name") == "__lambda__":
            return "a function"
        return {key: _without_code(value) for key, value in configuration.items()}
    if isinstance(configuration, (list, tuple)):
        return [_without_code(value) for value in configuration]
    return configuration


# Attributes of a model by which `fit` on JAX knows where the values of variables are.
ATTRIBUTES_OF_FIT = ("_jax_state", "_jax_state_synced")


def flat_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the model itself and all layers in it, at any depth."""
    return list(model._flatten_layers())


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers directly inside a layer."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def own_trainable_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the trainable variables of a layer without those of its sublayers."""
    return list(layer._trainable_variables)


def keeps_no_state(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer is Keras' or ours, without state outside of variables.

    Stateful RNNs and wrapped modules of other libraries do have some.
    """
    own = type(layer).__module__.split(".")[0] in ("keras", "keras_bnsmooth")
    wraps = "Wrapper" in type(layer).__name__ or hasattr(layer, "stateful")
    return own and not wraps


def graph_edges(layer: keras.layers.Layer) -> Iterator[tuple[Any, Any]]:
    """Yields (operation, next operation) for every connection in a layer's graph.

    An output of the graph has None as the next operation. Layers other than Functional
    and Sequential models have no graph.
    """
    graph = getattr(layer, "_functional", layer)  # of a Sequential model
    for nodes in getattr(graph, "_nodes_by_depth", {}).values():
        for node in nodes:
            for parent in node.parent_nodes:
                yield parent.operation, node.operation
    if hasattr(graph, "_nodes_by_depth"):
        for output in graph.outputs:
            yield output._keras_history.operation, None


@contextlib.contextmanager
def replaced_calls(
    calls: Sequence[tuple[keras.layers.Layer, Callable]],
) -> Iterator[None]:
    """Context in which each layer runs the given function instead of its `call`."""
    own_calls = [(layer, vars(layer).get("call")) for layer, _ in calls]
    try:
        for layer, call in calls:
            # Bypasses `Layer.__setattr__`, which tracks whatever is assigned.
            vars(layer)["call"] = call
        yield
    finally:
        for layer, call in own_calls:
            vars(layer).pop("call", None)
            if call is not None:
                vars(layer)["call"] = call


@contextlib.contextmanager
def functional_torch_modules(model: keras.Model) -> Iterator[None]:
    """Context in which wrapped PyTorch modules take their weights from Keras' scopes.

    A module reads its own parameters, whatever values a `keras.StatelessScope` has.
    Enter this outside of the scope.
    """
    if keras.backend.backend() != "torch":
        yield
        return
    wrappers = [
        layer
        for layer in flat_layers(model)
        if isinstance(layer, keras.layers.TorchModuleWrapper)
    ]
    try:
        for wrapper in wrappers:
            # Hides the module, which PyTorch keeps elsewhere.
            vars(wrapper)["module"] = _functional(wrapper)
        yield
    finally:
        for wrapper in wrappers:
            vars(wrapper).pop("module", None)


def _functional(wrapper):
    import torch

    module = wrapper.module
    variables = {id(variable.value): variable for variable in wrapper.variables}
    weights = {
        name: variables[id(parameter)]
        for name, parameter in module.named_parameters()
        if id(parameter) in variables
    }

    def call(*args, **kwargs):
        values = {name: variable.value for name, variable in weights.items()}
        # Copies, which the module may update in place.
        values |= {name: buffer.clone() for name, buffer in module.named_buffers()}
        return torch.func.functional_call(module, values, args, kwargs)

    return call


@contextlib.contextmanager
def observed_input_checks(
    observer: Callable[[str, Any, dict[int, int]], None],
) -> Iterator[None]:
    """Context that shows an observer what each layer requires of its input.

    Keras checks lengths when it calls a layer, so not those unknown until a graph runs.

    Args:
        observer: Called with the layer's name, its input and the lengths required, by
            axis.
    """
    check = input_spec.assert_input_compatibility

    def observed(specification, inputs, layer_name):
        check(specification, inputs, layer_name)
        leaves = keras.tree.flatten(inputs)
        specifications = keras.tree.flatten(specification)
        for one, leaf in zip(specifications, leaves, strict=False):
            lengths = dict(getattr(one, "axes", None) or {})
            if not getattr(one, "allow_last_axis_squeeze", False):
                lengths |= dict(enumerate(getattr(one, "shape", None) or ()))
            lengths = {k: length for k, length in lengths.items() if length is not None}
            observer(layer_name, leaf, lengths)

    input_spec.assert_input_compatibility = observed
    try:
        yield
    finally:
        input_spec.assert_input_compatibility = check


@contextlib.contextmanager
def preserve_added_losses(model: keras.Model) -> Iterator[None]:
    """Restores `model.losses` on exit, since every call of a model clears them."""
    saved = [
        (layer, layer._losses[:], set(layer._loss_ids)) for layer in flat_layers(model)
    ]
    try:
        yield
    finally:
        for layer, losses, loss_ids in saved:
            layer._losses[:] = losses
            layer._loss_ids.clear()
            layer._loss_ids.update(loss_ids)


def global_seed_generator() -> keras.random.SeedGenerator | None:
    """Returns the generator of `keras.random` functions that are given no seed.

    None if nothing has drawn from it yet; Keras creates it then.
    """
    return global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)


def set_global_seed_generator(generator: keras.random.SeedGenerator | None) -> None:
    """Replaces the generator that `global_seed_generator` returns."""
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
