"""The optimizers of a model, and the steps that they make."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_bnsmooth.keras_model.training import custom_training


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


def build_single_optimizer(model: keras.Model) -> keras.optimizers.Optimizer:
    """Returns the only optimizer that updates a model, built as `fit` builds it.

    Raises:
        ValueError: The model has no optimizer, or several, or several replicas.
    """
    found = optimizers(model)
    strategy = getattr(model, "distribute_strategy", None)
    replicas = strategy.num_replicas_in_sync if strategy else 1
    # Each replica would clip a gradient of its own.
    if len(found) != 1 or replicas > 1:
        names = ", ".join(optimizer.name for optimizer in found) or "none"
        raise ValueError(
            f"direction='update' needs one optimizer and one replica; {model.name} has "
            f"{len(found)} ({names}) and {replicas}. Pass another direction."
        )
    if not found[0].built:
        found[0].build(model.trainable_variables)
    return found[0]


def update(model: keras.Model, gradient: Sequence) -> list[np.ndarray]:
    """Returns W(t) - W(t+1) of the update that the optimizer would make now.

    The optimizer itself makes it; then all variables get their values back. Where it
    accumulates gradients, it is given this one until it moves the weights. The update
    is zero where mixed float16 skips the update because of an overflow.

    Args:
        model: A model with a single optimizer, which is built.
        gradient: Gradient of the loss, one tensor per trainable variable.
    """
    (optimizer,) = optimizers(model)
    (unscaled,) = _unscaled([optimizer])
    weights, state = model.trainable_variables, optimizer.variables
    batches = unscaled.gradient_accumulation_steps or 1
    batches -= int(_to_numpy(unscaled._iterations)) % batches
    with _restored([*weights, *state]) as before:
        for _ in range(batches):
            scaled = [optimizer.scale_loss(g) for g in gradient]
            if keras.backend.backend() == "jax":  # where branches need it, as in `fit`
                values = [v.value for v in state], scaled, [v.value for v in weights]
                here, there = optimizer.stateless_apply(*values)
                _assign([*weights, *state], [*here, *there])
            else:
                optimizer.apply(scaled, weights)
        after = [np.array(_to_numpy(v)) for v in weights]
    return [b - a for b, a in zip(before[: len(after)], after, strict=True)]


class Snapshot(NamedTuple):
    """A model between two training steps.

    Attributes:
        step: Number of weight updates so far.
        learning_rate: As the function of that name returns it.
        weights: Copies of `model.trainable_variables` as arrays.
        state: Copies of `model.non_trainable_variables` as arrays.
    """

    step: int
    learning_rate: float
    weights: list[np.ndarray]
    state: list[np.ndarray]


def snapshot(model: keras.Model) -> Snapshot:
    """Returns the model's current step, learning rate, weights and state."""
    # Copies, since on a CPU an array may share the variable's memory.
    weights, state = (
        [np.array(_to_numpy(v)) for v in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return Snapshot(step(model), learning_rate(model), weights, state)


def observe_next_step(
    model: keras.Model,
    before: Callable[[Callable[[], Snapshot]], None],
    after: Callable[[Callable[[], Snapshot]], None],
) -> None:
    """Calls `before` and `after` right around the next training step.

    They receive a function that takes a snapshot, and are called inside the call of the
    training function, so no callback can change weights between them and the step.
    Batch hooks cannot give that: those of other callbacks run before and after ours,
    and overriding `on_train_batch_end` would make Keras wait for every step on JAX and
    torch.

    After a step that raises, as at the end of data of unknown size, `after` is not
    called. TensorFlow may have counted that step nevertheless.
    """
    model.make_train_function()
    function = model.train_function
    # There, a step maps a state to the next; the variables are empty meanwhile.
    on_jax = keras.backend.backend() == "jax"

    def take(state):
        return _snapshot_of(model, state) if on_jax else snapshot(model)

    def observed(*arguments):
        model.train_function = function
        before(lambda: take(arguments[0]))
        outputs = function(*arguments)
        after(lambda: take(outputs[1] if on_jax else None))
        return outputs

    model.train_function = observed


@contextlib.contextmanager
def with_state(model: keras.Model, state: Sequence[np.ndarray]) -> Iterator[None]:
    """Context in which the non-trainable variables have the values of a `Snapshot`.

    Does nothing for a model on several replicas, each of which may have values of its
    own.
    """
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is not None and strategy.num_replicas_in_sync > 1:
        yield
        return
    with _restored(model.non_trainable_variables):
        _assign(model.non_trainable_variables, state)
        yield


@contextlib.contextmanager
def _restored(variables: Sequence[keras.Variable]) -> Iterator[list[np.ndarray]]:
    """Context that gives variables their values back on exit, and yields these."""
    values = [np.array(_to_numpy(v)) for v in variables]
    try:
        yield values
    finally:
        _assign(variables, values)


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _snapshot_of(model, state):
    """Returns the snapshot for the state of the model that a step on JAX maps."""
    trainable, non_trainable, optimizer, _ = state
    values = [
        *zip(model.trainable_variables, trainable, strict=True),
        *zip(model.non_trainable_variables, non_trainable, strict=True),
        *zip(model.optimizer.variables, optimizer, strict=True),
    ]
    with keras.StatelessScope(state_mapping=values):
        return snapshot(model)


def _to_numpy(value):
    return keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(value))
