"""The compiled functions of a model, kept for the life of the model."""

import weakref

# model -> (its compilation, {(function, options): compiled function}). The compiled
# functions hold no reference to the model, which would keep it alive for ever.
_compiled = weakref.WeakKeyDictionary()


def cached(model, function, options, compile_function):
    """Returns a function of a model as `compile_function` compiles it.

    It is compiled at the first call, and afresh once the model has been compiled
    again or layers have been frozen or unfrozen.

    Args:
        model: A built `keras.Model`.
        function: Takes the model and arrays.
        options: Dict of further, hashable arguments of `function`.
        compile_function: Takes the model and a function of arrays alone, which it
            returns compiled. It may read the model, but must not keep it.

    Returns:
        What `compile_function` returned.
    """
    compilation = _compilation(model)
    known, functions = _compiled.get(model, (None, None))
    if known != compilation:
        functions = {}
        _compiled[model] = (compilation, functions)
    key = (function, tuple(sorted(options.items())))
    if key not in functions:
        reference = weakref.ref(model)

        def of_arrays(*arrays):
            return function(reference(), *arrays, **options)

        functions[key] = compile_function(model, of_arrays)
    return functions[key]


def _compilation(model):
    """What a compiled function depends on besides its arguments."""
    return (
        _compile_call(model),
        bool(model.run_eagerly),
        getattr(getattr(model, "optimizer", None), "built", None),
        tuple(id(variable) for variable in model.trainable_variables),
        # Normalizations act otherwise when frozen, also those without weights.
        tuple(layer.trainable for layer in model._flatten_layers()),
    )


def _compile_call(model):
    """What stands for the last call of `model.compile`, or None if there was none."""
    config = getattr(model, "_compile_config", None)
    return None if config is None else weakref.ref(config)
