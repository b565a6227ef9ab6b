"""Compiled functions of a model, cached for the lifetime of the model."""

import weakref
from collections.abc import Callable
from typing import Any

import keras

from keras_bnsmooth import keras_model
from keras_bnsmooth.autodiff.objective import loss_of

# model -> (what its functions were compiled for,
#           {loss: {(function, options): compiled}}).
# Compiled functions hold no strong reference to the model, so it can be freed, nor to a
# user's loss, which often refers to the model.
_cache: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def cached(
    model: keras.Model,
    function: Callable,
    options: dict[str, Any],
    compile_function: Callable,
) -> Callable:
    """Returns `function` of a model, compiled by `compile_function`.

    Compiles on the first call for a loss, and again after the model is recompiled or
    layers are frozen or unfrozen.

    Args:
        model: A built `keras.Model`.
        function: Takes the model and arrays.
        options: Further hashable arguments of `function`.
        compile_function: Takes the model and a function of arrays alone, and returns
            that function compiled. It may read the model but must not keep it.
    """
    compiled_for = _compiled_for(model)
    known, by_loss = _cache.get(model, (None, None))
    if known != compiled_for:
        by_loss = weakref.WeakKeyDictionary()
        _cache[model] = (compiled_for, by_loss)
    functions = by_loss.setdefault(loss_of(model), {})
    key = (function, tuple(sorted(options.items())))
    if key not in functions:
        reference = weakref.ref(model)

        def of_arrays(*arrays):
            return function(reference(), *arrays, **options)

        functions[key] = compile_function(model, of_arrays)
    return functions[key]


def once(model: keras.Model, function: Callable) -> Callable:
    """Returns `function(model, *arguments)` that does nothing after it has returned.

    It runs again when compiled functions are compiled again, and after an exception.
    """
    return cached(model, function, {}, _until_it_returns)


def _until_it_returns(model, function):
    returned = False

    def until_it_returns(*arguments):
        nonlocal returned
        if not returned:
            function(*arguments)
            returned = True

    return until_it_returns


def _compiled_for(model):
    """Everything but its arguments that a compiled function depends on."""
    return (
        keras_model.compile_token(model),
        bool(model.run_eagerly),
        getattr(getattr(model, "optimizer", None), "built", None),
        tuple(id(variable) for variable in model.trainable_variables),
        # A frozen normalization behaves differently, even one without weights.
        tuple(layer.trainable for layer in keras_model.flat_layers(model)),
    )
