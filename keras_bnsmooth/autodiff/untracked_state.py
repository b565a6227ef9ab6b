"""State that a model has outside of its variables, left as it was by an evaluation.

A layer may count its calls in a Python attribute or a backend variable, draw from its
own random generator, or wrap a PyTorch module that has buffers. So may a loss, a
regularizer or the function of a `Lambda` layer. Stateful RNNs keep their states in
variables that Keras does not list. Stateless scopes do not discard what a call assigns
to any of these.
"""

import collections
import contextlib
import copy
import functools
import random
import sys
import types
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np

from keras_bnsmooth import keras_model
from keras_bnsmooth.autodiff.replacement import replaced


@contextlib.contextmanager
def preserve_untracked_state(
    model: keras.Model, loss: Callable | None = None
) -> Iterator[None]:
    """Context that restores what is kept outside of the model's variables, on exit.

    That is what is in the attributes of layers and losses, and in those of their
    classes: numbers, arrays, tensors, variables, random generators and the buffers of
    PyTorch modules; the same in lists, dicts, sets, objects and closures there; and
    numbers, variables and random generators in global variables that their functions
    name. Attributes that are new on exit are removed. Layers that are not built yet,
    and set attributes when they are, are left alone, and so are iterators.

    Args:
        model: The model.
        loss: A loss other than the compiled one, an optimizer, or None.
    """
    restore = save_untracked_state(model, loss)
    try:
        yield
    finally:
        restore()


def save_untracked_state(
    model: keras.Model, loss: Callable | None = None
) -> Callable[[], None]:
    """Returns a function that restores the state as `preserve_untracked_state` does.

    Args:
        model: The model.
        loss: A loss other than the compiled one, or None.
    """
    tracked = {id(v) for v in model.variables}
    if keras.backend.backend() != "jax":  # where values are immutable
        tracked |= {id(v.value) for v in model.variables}
    saved = _Saved(tracked)
    for layer in keras_model.flat_layers(model):
        if not layer.built:
            continue
        if keras_model.keeps_no_state(layer):
            saved.add_objects(layer)
        else:
            saved.add_attributes(layer)
    saved.add(getattr(model, "loss", None))
    saved.add(loss)
    return saved.restore


@contextlib.contextmanager
def replay_untracked_state(
    model: keras.Model, loss: Callable | None = None
) -> Iterator[None]:
    """Context of one evaluation of a model, the next of which finds the same state.

    May be entered while a graph is traced; the graph then restores TensorFlow's
    variables whenever it runs. The state of Python is not replayed there: a training
    step that is traced holds whatever it was at that moment, which nobody can know
    later, so evaluations must differ to be refused.

    Args:
        model: The model.
        loss: A loss other than the compiled one, or None.
    """
    with contextlib.ExitStack() as stack:
        if not keras_model.traces_training_step(model):
            stack.enter_context(preserve_untracked_state(model, loss))
        stack.enter_context(rewound_tensorflow_variables())
        yield


@contextlib.contextmanager
def preserve_variables(
    model: keras.Model, others: Iterable[keras.Variable] = ()
) -> Iterator[None]:
    """Context that restores all variables of a model and its metrics on exit.

    Metrics that are created inside, as for the losses of several outputs, start at zero
    again.

    Args:
        model: The model.
        others: Variables to restore, too.
    """
    variables = [*model.variables, *model.metrics_variables, *others]
    values = [np.array(v.numpy()) for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        known = {id(v) for v in variables}
        for metric in model.metrics:
            if not any(id(v) in known for v in metric.variables):
                metric.reset_state()


class _Saved:
    """The state of objects, to be restored later.

    Args:
        skip: Ids of objects that something else restores.
    """

    def __init__(self, skip):
        self._seen = set(skip)
        self._alive = []
        self._restorers = []

    def restore(self):
        """Restores every object."""
        for restore in self._restorers:
            restore()

    def add_attributes(self, owner):
        """Saves the attributes of an object and its classes, and what they hold."""
        for kind in type(owner).__mro__:
            if not _is_of_library(kind):
                self.add_class(kind)
        attributes = vars(owner)
        before = dict(attributes)

        def restore():
            for name in before.keys() | attributes.keys():
                if name in keras_model.ATTRIBUTES_OF_FIT:
                    continue
                old, new = before.get(name, _MISSING), attributes.get(name, _MISSING)
                if old is new or not (_is_value(old) and _is_value(new)):
                    continue
                # Bypasses `Layer.__setattr__`, which tracks whatever is assigned.
                if old is _MISSING:
                    del attributes[name]
                else:
                    attributes[name] = old

        self._restorers.append(restore)
        for value in before.values():
            self.add(value)

    def add_objects(self, owner):
        """Saves what the functions and objects hold that a Keras object was given."""
        for value in vars(owner).values():
            if callable(value) and not isinstance(value, keras.Variable):
                self.add(value)

    def add_class(self, kind):
        """Saves the constants among the attributes of a class."""
        if id(kind) in self._seen:
            return
        self._seen.add(id(kind))
        before = {k: v for k, v in vars(kind).items() if _is_constant(v)}

        def restore():
            for name, value in before.items():
                if vars(kind).get(name) is not value:
                    setattr(kind, name, value)

        self._restorers.append(restore)
        for value in vars(kind).values():
            if isinstance(value, types.FunctionType):
                self.add(value)

    def add(self, value):
        """Saves what a value holds, if it is of a kind that can change."""
        if id(value) in self._seen or _is_constant(value):
            return
        self._seen.add(id(value))
        self._alive.append(value)  # else another object might get its id
        if isinstance(value, _COLLECTIONS):
            self._add_collection(value)
        elif isinstance(value, tuple):
            for part in value:
                self.add(part)
        elif isinstance(value, types.FunctionType):
            self._add_function(value)
        elif isinstance(value, types.MethodType):
            self.add(value.__self__)
        elif isinstance(value, functools.partial):
            self.add((value.func, *value.args, *value.keywords.values()))
        elif isinstance(value, keras.random.SeedGenerator):
            self.add(value.state)
        elif isinstance(value, keras.losses.Loss) and not _is_plain_object(value):
            self.add_objects(value)
        elif _is_torch_module(value):
            for buffer in value.buffers():
                self.add(buffer)
        elif (restore := _restorer(value)) is not None:
            self._restorers.append(restore)
        elif _is_plain_object(value):
            self.add_attributes(value)

    def _add_function(self, function):
        if _is_of_library(function):
            return
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:  # empty until the name is assigned
                continue
            if _is_constant(value):
                self._restorers.append(
                    functools.partial(setattr, cell, "cell_contents", value)
                )
            self.add(value)
        for value in (*(function.__defaults__ or ()), *vars(function).values()):
            self.add(value)
        found = function.__globals__
        for name in _names(function.__code__) & found.keys():
            if _is_constant(found[name]):
                self._restorers.append(
                    functools.partial(found.__setitem__, name, found[name])
                )
            elif _is_state(found[name]):
                self.add(found[name])

    def _add_collection(self, value):
        # The methods of the base classes bypass Keras' tracking.
        kind = next(k for k in _COLLECTIONS if isinstance(value, k))
        before = copy.copy(value) if kind is collections.deque else kind(value)

        def restore():
            if list(map(id, _flat(value))) == list(map(id, _flat(before))):
                return
            kind.clear(value)
            (kind.update if kind in (set, dict) else kind.extend)(value, before)

        self._restorers.append(restore)
        for part in value.values() if kind is dict else before:
            self.add(part)


_COLLECTIONS = (list, set, dict, collections.deque)
_MISSING = object()


def _names(code):
    """Names that a function reads, or functions inside of it."""
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _is_state(value):
    """Whether a global variable holds a function or what may be its state.

    Not objects of any class, which may belong to a library with threads of its own.
    """
    torch = sys.modules.get("torch")
    kinds = (types.FunctionType, keras.Variable, keras.random.SeedGenerator)
    kinds += (np.random.Generator, np.random.RandomState, random.Random)
    if torch is not None:
        kinds += (torch.Generator, torch.Tensor)
    return isinstance(value, kinds) or _is_tensorflow_variable(value)


def _flat(collection):
    if isinstance(collection, dict):
        for key, value in collection.items():
            yield key
            yield value
    else:
        yield from collection


def _is_constant(value):
    return value is None or isinstance(
        value, (bool, int, float, complex, str, bytes, np.generic)
    )


def _is_value(value):
    """Whether an attribute may be put back; others, such as caches, may stay."""
    return (
        value is _MISSING
        or _is_constant(value)
        or isinstance(value, (np.ndarray, keras.Variable, tuple))
        or keras.ops.is_tensor(value)
        or _is_tensorflow_variable(value)
    )


def _is_plain_object(value):
    """Whether an object is of a class that neither Python nor a library defines."""
    if isinstance(value, (type, types.FunctionType)) or not hasattr(value, "__dict__"):
        return False
    return not _is_of_library(type(value))


def _is_of_library(kind):
    """Whether a class or function is Python's, of a library, or ours."""
    libraries = {"keras", "keras_bnsmooth", "tensorflow", "jax", "jaxlib", "torch"}
    libraries |= {"numpy", "builtins"} | sys.stdlib_module_names
    return kind.__module__.split(".")[0] in libraries


def _restorer(value):
    """Returns a function that puts an object's content back, or None."""
    torch = sys.modules.get("torch")
    if isinstance(value, np.random.Generator):
        bits = value.bit_generator
        return _setter(lambda state: setattr(bits, "state", state), bits.state)
    if isinstance(value, np.random.RandomState):
        return _setter(value.set_state, value.get_state(legacy=False))
    if isinstance(value, random.SystemRandom):
        return None  # draws from the operating system
    if isinstance(value, random.Random):
        return _setter(value.setstate, value.getstate())
    if torch is not None and isinstance(value, torch.Generator):
        return _setter(value.set_state, value.get_state())
    if isinstance(value, np.ndarray) and value.flags.writeable:
        return _setter(lambda content: np.copyto(value, content), value.copy())
    if keras.backend.backend() == "torch" and keras.ops.is_tensor(value):
        return _tensor_restorer(value.detach())
    if isinstance(value, keras.Variable) or _is_tensorflow_variable(value):
        if not _has_a_number(value):
            return None
        if keras.backend.backend() == "torch" and isinstance(value, keras.Variable):
            return _tensor_restorer(value.value.detach())
        # On a CPU, `numpy` may show the variable's own memory.
        return _setter(value.assign, np.array(value.numpy()))
    return None


def _tensor_restorer(data):
    """Returns a function that puts the content of a tensor of PyTorch back.

    Only if it changed: PyTorch refuses to differentiate what has been written since.
    """
    content = data.clone()

    def restore():
        if not sys.modules["torch"].equal(data, content):
            data.copy_(content)

    return restore


def _setter(function, value):
    return lambda: function(value)


def _has_a_number(variable):
    """Whether a variable has a value now; otherwise scopes and rewinding take care."""
    if keras.backend.backend() == "tensorflow":
        return sys.modules["tensorflow"].executing_eagerly()
    if keras.backend.backend() == "jax":
        return not isinstance(variable.value, sys.modules["jax"].core.Tracer)
    return True


def _is_tensorflow_variable(value):
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(value, tensorflow.Variable)


def _is_torch_module(value):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


@contextlib.contextmanager
def rewound_tensorflow_variables() -> Iterator[None]:
    """Rewinds each variable of TensorFlow, wherever it is held, that is assigned."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf
    from tensorflow.python.ops import resource_variable_ops

    def current():
        return tf.executing_eagerly() or tf.compat.v1.get_default_graph()

    # Graphs cannot pass what is read in a branch or a loop to the outside.
    here, values = current(), {}

    def remembering(method):
        def assign(variable, *args, **kwargs):
            if current() is here and id(variable) not in values:
                values[id(variable)] = (variable, tf.identity(variable))
            return method(variable, *args, **kwargs)

        return assign

    # The first has copies of the methods of the second.
    kinds = (
        resource_variable_ops.ResourceVariable,
        resource_variable_ops.BaseResourceVariable,
    )
    names = ("assign", "assign_add", "assign_sub")
    with contextlib.ExitStack() as replacements:
        for kind in kinds:
            methods = {name: remembering(getattr(kind, name)) for name in names}
            replacements.enter_context(replaced(kind, **methods))
        try:
            yield
        finally:
            replacements.close()
            for variable, value in values.values():
                variable.assign(value)
