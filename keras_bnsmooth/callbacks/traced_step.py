"""Whether `fit` still trains the model as it is.

TensorFlow and JAX trace the training step when it first runs, and keep the trace until
the model is compiled again. `fit` ignores whatever is changed in between.
"""

import weakref

import keras

from keras_bnsmooth import keras_model

# training function -> what could be changed, as it was when a probe first saw it.
_seen: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def check_traced_step(model: keras.Model) -> None:
    """Raises a ValueError if the model was changed after its training step was traced.

    Sees layers that were frozen or unfrozen since `compile`, and, from the first
    training with a probe on, changed options of Keras' layers and changed regularizers
    and constraints of variables.

    Args:
        model: A compiled model, right before training.
    """
    if not keras_model.traces_training_step(model):
        return
    function = keras_model.train_function(model)
    now = keras_model.options_of_layers(model)
    before = _seen.get(function, now)
    changed = [name for name, options in now.items() if before.get(name) != options]
    if function not in _seen and keras_model.step(model) > 0:
        changed = keras_model.layers_frozen_since_compile(model)
    if changed:
        raise ValueError(
            f"{changed[0]} was changed after the training step of {model.name} was "
            "traced, so that fit still trains what it was before; call model.compile "
            "again."
        )
    if keras_model.is_built(model):  # else all of it is new when it is
        _seen[function] = now
