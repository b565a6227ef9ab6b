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
from keras.src.layers.input_spec import assert_input_compatibility
from keras.src.losses.loss import scale_loss_for_distribution
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.trainers.data_adapters import array_slicing, data_adapter_utils
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter


def check_keras(model: Any) -> None:
    """Raises a ValueError unless the model is one of Keras 3."""
    if not isinstance(model, keras.Model):
        raise ValueError(
            "probes need a model of Keras 3 (import keras, or tensorflow.keras without "
            f"TF_USE_LEGACY_KERAS); received {type(model).__module__}."
            f"{type(model).__name__}."
        )


def optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns the optimizers that may update a model.

    That is the compiled one, and for a model that has its own training step also those
    that are attributes of the model, in lists and dicts too.
    """
    compiled = getattr(model, "optimizer", None)
    found = [] if compiled is None else [compiled]
    if custom_training(model) is not None:
        values: list = []
        for value in vars(model).values():
            if isinstance(value, (list, tuple)):
                values += value
            else:
                values += value.values() if isinstance(value, dict) else [value]
        found += [v for v in values if isinstance(v, keras.optimizers.Optimizer)]
    return list({id(optimizer): optimizer for optimizer in found}.values())


def step(model: keras.Model) -> int:
    """Returns the number of weight updates so far.

    Where several optimizers update the model, it is that of the one which made most.
    """
    return max(int(_to_numpy(o.iterations)) for o in optimizers(model))


def learning_rate(model: keras.Model) -> float:
    """Returns the optimizer's current learning rate, NaN if there is no single one."""
    of_single = _single_optimizer(model)
    return np.nan if of_single is None else float(_to_numpy(of_single.learning_rate))


def has_learning_rate(model: keras.Model) -> bool:
    """Returns whether the model has a single learning rate, which may be NaN."""
    return _single_optimizer(model) is not None


def check_learning_rate(model: keras.Model, remedy: str) -> None:
    """Raises a ValueError if the model has no single learning rate.

    Args:
        model: The model.
        remedy: What to do instead, the end of the message.
    """
    if not has_learning_rate(model):
        names = ", ".join(optimizer.name for optimizer in inner_optimizers(model))
        raise ValueError(
            f"{model.name} has several optimizers ({names}) and so no single learning "
            f"rate; {remedy}."
        )


def _single_optimizer(model):
    found = _unscaled(optimizers(model))
    # A `MultiOptimizer` has a list of others instead of a learning rate.
    single = len(found) == 1 and not hasattr(found[0], "optimizers")
    return found[0] if single else None


def inner_optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns the optimizers inside wrappers: loss scaling and `MultiOptimizer`.

    A `MultiOptimizer` may know its own only once it is built; until then it counts.
    """
    unscaled = _unscaled(optimizers(model))
    return [part for o in unscaled for part in getattr(o, "optimizers", None) or [o]]


def _unscaled(optimizers):
    """Returns the optimizers without the loss scaling that mixed float16 adds."""
    return [getattr(o, "inner_optimizer", o) for o in optimizers]


class Snapshot(NamedTuple):
    """A model between two training steps.

    Attributes:
        step: Number of weight updates so far.
        learning_rate: As the function of that name returns it.
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


def arrays_to_tensors(x: Any, y=None, sample_weight=None, class_weight=None) -> tuple:
    """Returns (x, y, sample_weight) as the tensors that `fit(x, y, ...)` trains on.

    Floating-point arrays become `keras.config.floatx()`, and class weights become
    sample weights. Inputs that differ in length, which `fit` takes in datasets only,
    are accepted with targets of any length.

    Args:
        x: Array, data frame, tensor or SciPy sparse matrix, or a nested structure of
            them.
        y: Targets in the same form, or None.
        sample_weight: Weights of the samples, or None.
        class_weight: Dict from class to weight, or None.

    Raises:
        ValueError: Keras does not accept the arrays together.
    """
    lengths = {
        tuple(getattr(leaf, "shape", [-1]))[:1] for leaf in keras.tree.flatten(x)
    }
    if len(lengths) > 1 or () in lengths:
        batch = (x, y, sample_weight)
        return batch_to_tensors(batch, class_weight, as_arrays=True)
    adapter = ArrayDataAdapter(x, y, sample_weight, class_weight=class_weight)
    return batch_to_tensors(adapter._inputs, as_arrays=True)


def batch_to_tensors(batch: Any, class_weight=None, as_arrays: bool = False) -> tuple:
    """Returns (x, y, sample_weight) as the tensors of a batch of `fit(dataset)`.

    Args:
        batch: x, (x,), (x, y) or (x, y, sample_weight).
        class_weight: Dict from class to weight, or None.
        as_arrays: Whether to convert floating-point arrays to `keras.config.floatx()`,
            as `fit` does with arrays but not with batches of datasets.

    Raises:
        ValueError: The batch has another form, or Keras does not accept its parts.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    if class_weight is not None:
        weighted = ArrayDataAdapter(y, y, sample_weight, class_weight=class_weight)
        *_, sample_weight = weighted._inputs
    convert = _of_arrays if as_arrays else _of_datasets
    return keras.tree.map_structure(
        lambda leaf: (
            None if leaf is None else keras.ops.convert_to_tensor(convert(leaf))
        ),
        (x, y, sample_weight),
    )


def _of_arrays(array):
    """Converts like Keras' adapter of arrays, which slices all of them."""
    sliceable = array_slicing.convert_to_sliceable(array)
    if not array.shape:
        return sliceable.array
    whole = sliceable[slice(0, array.shape[0])]
    backend = keras.backend.backend()
    if backend == "jax":
        return sliceable.convert_to_jax_compatible(whole)
    if backend == "torch":
        return sliceable.convert_to_torch_compatible(whole)
    whole = sliceable.convert_to_tf_dataset_compatible(whole)
    return getattr(whole, "sparse", whole)


def _of_datasets(element):
    """Converts like Keras' adapters of generators and datasets."""
    if keras.backend.backend() == "jax":
        return next(data_adapter_utils.get_jax_iterator([element]))
    if keras.backend.backend() == "tensorflow":
        if data_adapter_utils.is_scipy_sparse(element):
            return data_adapter_utils.scipy_sparse_to_tf_sparse(element)
        if data_adapter_utils.is_jax_sparse(element):
            return data_adapter_utils.jax_sparse_to_tf_sparse(element)
    return element


# Models some of whose layers stay without weights, because nothing calls them.
_completely_built: weakref.WeakSet = weakref.WeakSet()


def build(model: keras.Model, x: Any) -> None:
    """Creates the weights of a model that is not built, as `fit` does.

    Initializers and layers draw the seeds that they would draw in `fit`, which then
    draws none.

    Args:
        model: The model.
        x: Inputs of a batch.
    """
    if model in _completely_built:
        return
    parts = flat_layers(model)
    if custom_training(model) is not None:
        parts.remove(model)  # which need not have outputs, and is then never built
    if not all(layer.built for layer in parts):
        symbolic = keras.tree.map_structure(
            lambda leaf: keras.KerasTensor(leaf.shape, _dtype(leaf)), x
        )
        strategy = getattr(model, "distribute_strategy", None)
        with strategy.scope() if strategy else contextlib.nullcontext():
            compute_output_spec(model, symbolic, training=False)
    _completely_built.add(model)


def _dtype(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def check_input(model: keras.Model, x: Any) -> None:
    """Raises a ValueError unless inputs have the shapes that a model was built for.

    Only Functional and Sequential models know them.
    """
    if knows_input_shapes(model):
        assert_input_compatibility(_input_spec(model), x, model.name)


def knows_input_shapes(model: keras.Model) -> bool:
    """Returns whether `check_input` sees all that does not fit the model."""
    return _input_spec(model) is not None


def _input_spec(model):
    functional = getattr(model, "_functional", model)  # of a Sequential model
    is_graph = hasattr(functional, "_nodes_by_depth")
    return functional.input_spec if is_graph else None


def call_in_training_mode(model: keras.Model, x: Any) -> Any:
    """Returns the outputs of the model in training mode."""
    if model._call_has_training_arg:
        return model(x, training=True)
    return model(x)


def compute_loss(model: keras.Model, x, y, y_pred, sample_weight) -> Any:
    """Returns the loss as `Model.train_step` computes it, a scalar tensor."""
    with _private_loss(model):
        return model._compute_loss(x, y, y_pred, sample_weight, training=True)


# The methods that decide, on some backend, which loss training minimizes.
_TRAINING = (
    "train_step",
    "compute_loss_and_updates",
    "make_train_function",
)


def custom_training(model: keras.Model) -> str | None:
    """Returns the name of a method that trains in another way than Keras does, or None.

    Wherever it was replaced: in a subclass, on the instance or in Keras' own class.
    """
    for name in _TRAINING:
        method = vars(model).get(name, getattr(type(model), name, None))
        if method is not None and not _is_of_keras(method):
            return name
    return None


def _is_of_keras(function):
    # Where the code is; a wrapper may bear the name of another module.
    module = getattr(function, "__globals__", {}).get("__name__", "")
    return module.split(".")[0] == "keras"


def scale_loss_for_replicas(loss: Any) -> Any:
    """Returns a mean over the batch as Keras sums it over the replicas of `tf`."""
    return scale_loss_for_distribution(loss)


def build_loss(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> None:
    """Creates the variables in which a compiled loss tracks several outputs.

    Keras creates them when it first computes the loss. While JAX traces, they would get
    values that are invalid afterwards, so `fit` builds the loss before, as this does.
    """
    with _private_loss(model) as loss:
        if keras.backend.backend() != "jax" or loss is None or loss.built or y is None:
            return
        with preserve_added_losses(model):
            y_pred = compute_output_spec(model, x)
            compute_output_spec(
                model._compute_loss, x, y, y_pred, sample_weight, training=False
            )


# Copies of compiled losses, each of which stays unbuilt until `fit` builds it.
_loss_copies: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def _private_loss(model):
    """Context in which a copy replaces a compiled loss that is not built yet.

    If the loss is not built, `fit` takes a batch from its data to build it, for which
    shuffled data draw random numbers. With a loss built by a probe it would draw fewer,
    and train on the samples in another order.
    """
    loss = getattr(model, "_compile_loss", None)
    if loss is None or loss.built:
        yield loss
        return
    if loss not in _loss_copies:
        _loss_copies[loss] = type(loss)(
            loss._user_loss, loss._user_loss_weights, loss.reduction, loss.output_names
        )
    vars(model)["_compile_loss"] = _loss_copies[loss]
    try:
        yield _loss_copies[loss]
    finally:
        vars(model)["_compile_loss"] = loss


def compile_token(model: keras.Model) -> Any:
    """Returns a token that changes with every call to `model.compile`.

    None if the model was never compiled.
    """
    config = getattr(model, "_compile_config", None)
    return None if config is None else weakref.ref(config)


def traces_training_step(model: keras.Model) -> bool:
    """Returns whether training traces its step once, and then ignores the model."""
    if model.run_eagerly:
        return False
    backend = keras.backend.backend()
    return backend == "tensorflow" or (backend == "jax" and bool(model.jit_compile))


def train_function(model: keras.Model) -> Callable:
    """Returns the function that runs the steps of `fit`; `compile` replaces it."""
    model.make_train_function()
    return model.train_function


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
        # As text, since arrays do not compare.
        configuration = repr(layer.get_config()) if own else None
        options[layer.path] = (layer.trainable, configuration)
    return options


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
