"""State that a model has outside of its variables, left as it was by a measurement.

A layer may count in a Python attribute or in a variable of the backend, and stateful
RNNs keep their states in variables that Keras does not list. No stateless scope
discards what a call assigns to these.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_bnsmooth import keras_model


@contextlib.contextmanager
def preserve_untracked_state(model: keras.Model) -> Iterator[None]:
    """Context that restores what layers keep in attributes, on exit.

    That is numbers, arrays, tensors and variables that are not among those of the
    model, directly or in a list, tuple or dict. Layers that are not built yet, and set
    attributes when they are, are left alone.

    Args:
        model: The model.
    """
    tracked = {id(v) for v in model.variables}
    tracked |= {id(v.value) for v in model.variables}
    bindings, contents = [], {}
    for layer in keras_model.flat_layers(model):
        if not layer.built:
            continue
        attributes = vars(layer)
        for name, value in attributes.items():
            if _is_state(value):
                bindings.append((attributes, name, value))
            for part in _parts(value):
                if _is_state(part) and id(part) not in tracked:
                    contents[id(part)] = (part, _copy(part))
    try:
        yield
    finally:
        for attributes, name, value in bindings:
            # Bypasses `Layer.__setattr__`, which tracks whatever is assigned.
            if attributes.get(name) is not value:
                attributes[name] = value
        for part, content in contents.values():
            if content is not None:
                _restore(part, content)


@contextlib.contextmanager
def preserve_variables(model: keras.Model) -> Iterator[None]:
    """Context that restores all variables of a model and its metrics on exit.

    Metrics that are created inside, as for the losses of several outputs, start at zero
    again.
    """
    variables = [*model.variables, *model.metrics_variables]
    values = [_copy(v) for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        known = {id(v) for v in variables}
        for metric in model.metrics:
            if not any(id(v) in known for v in metric.variables):
                metric.reset_state()


def _parts(value):
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else [value]


def _is_state(value):
    if isinstance(value, bool):
        return False
    numbers = (int, float, complex, np.ndarray, np.generic)
    return (
        isinstance(value, (*numbers, keras.Variable))
        or keras.ops.is_tensor(value)
        or _is_tensorflow_variable(value)
    )


def _is_tensorflow_variable(value):
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(value, tensorflow.Variable)


def _copy(value: Any) -> Any:
    """Returns a copy of a value that can change in place, or None."""
    if isinstance(value, keras.Variable) or _is_tensorflow_variable(value):
        # On torch and on a CPU, `numpy` shows the variable's own memory.
        return np.array(value.numpy())
    if isinstance(value, np.ndarray):
        return value.copy()
    if _is_torch_tensor(value):
        return value.detach().clone()
    return None


def _restore(value, content):
    if isinstance(value, np.ndarray):
        value[...] = content
    elif _is_torch_tensor(value):
        value.detach().copy_(content)
    else:
        value.assign(content)


def _is_torch_tensor(value):
    return keras.backend.backend() == "torch" and keras.ops.is_tensor(value)
