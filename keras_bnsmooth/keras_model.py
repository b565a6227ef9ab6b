"""Everything the library reads of a Keras model that Keras does not document.

Every private name of Keras on which the library depends is in this module.
"""

import contextlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras.src.backend import compute_output_spec
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR


def step(model: keras.Model) -> int:
    """Returns the number of weight updates that the optimizer has made."""
    return int(_to_numpy(model.optimizer.iterations))


def learning_rate(model: keras.Model) -> float:
    """Returns the optimizer's current learning rate."""
    return float(_to_numpy(model.optimizer.learning_rate))


def inner_optimizer(model: keras.Model) -> keras.optimizers.Optimizer:
    """Returns the optimizer without the loss scaling that mixed float16 adds."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


class Snapshot(NamedTuple):
    """A model between two training steps.

    Attributes:
        step: Number of weight updates so far.
        learning_rate: The optimizer's current learning rate.
        weights: Copies of `model.trainable_variables` as arrays.
    """

    step: int
    learning_rate: float
    weights: list[np.ndarray]


def snapshot(model: keras.Model) -> Snapshot:
    """Returns the model's current step, learning rate and weights."""
    # Copies, since on a CPU an array may share the variable's memory.
    weights = [np.array(_to_numpy(v)) for v in model.trainable_variables]
    return Snapshot(step(model), learning_rate(model), weights)


def observe_next_step(
    model: keras.Model,
    before: Callable[[Snapshot], None],
    after: Callable[[Snapshot], None],
) -> None:
    """Calls `before` and `after` with snapshots right around the next training step.

    The snapshots are taken inside the call of the training function, so no callback
    can change weights between them and the step. Batch hooks cannot give that: those of
    other callbacks run before and after ours, and overriding `on_train_batch_end`
    would make Keras wait for every step on JAX and torch.

    After a step that raises, as at the end of data of unknown size, `after` is not
    called. TensorFlow may have counted that step nevertheless.
    """
    model.make_train_function()
    function = model.train_function
    # There, a step maps a state to the next; the variables are empty meanwhile.
    on_jax = keras.backend.backend() == "jax"

    def observed(*arguments):
        model.train_function = function
        before(_snapshot_of(model, arguments[0]) if on_jax else snapshot(model))
        outputs = function(*arguments)
        after(_snapshot_of(model, outputs[1]) if on_jax else snapshot(model))
        return outputs

    model.train_function = observed


def _snapshot_of(model, state):
    """Returns the snapshot for the state of the model that a step on JAX maps."""
    trainable, _, optimizer, _ = state
    values = [
        *zip(model.trainable_variables, trainable, strict=True),
        *zip(model.optimizer.variables, optimizer, strict=True),
    ]
    with keras.StatelessScope(state_mapping=values):
        return snapshot(model)


def call_in_training_mode(model: keras.Model, x: Any) -> Any:
    """Returns the outputs of the model in training mode."""
    if model._call_has_training_arg:
        return model(x, training=True)
    return model(x)


def compute_loss(model: keras.Model, x, y, y_pred, sample_weight) -> Any:
    """Returns the loss as `Model.train_step` computes it, a scalar tensor."""
    return model._compute_loss(x, y, y_pred, sample_weight, training=True)


def build_loss(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> None:
    """Creates the variables in which a compiled loss tracks several outputs.

    Keras creates them when it first computes the loss. While JAX traces, they would get
    values that are invalid afterwards, so `fit` builds the loss before, as this does.
    """
    loss = getattr(model, "_compile_loss", None)
    if keras.backend.backend() != "jax" or loss is None or loss.built or y is None:
        return
    with preserve_added_losses(model):
        y_pred = compute_output_spec(model, x)
        compute_output_spec(
            model._compute_loss, x, y, y_pred, sample_weight, training=False
        )


def compile_token(model: keras.Model) -> Any:
    """Returns a token that changes with every call to `model.compile`.

    None if the model was never compiled.
    """
    config = getattr(model, "_compile_config", None)
    return None if config is None else weakref.ref(config)


def flat_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the model itself and all layers in it, at any depth."""
    return list(model._flatten_layers())


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers directly inside a layer."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def own_trainable_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the trainable variables of a layer without those of its sublayers."""
    return list(layer._trainable_variables)


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


def _to_numpy(value):
    return keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(value))
