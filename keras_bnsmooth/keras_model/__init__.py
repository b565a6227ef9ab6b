"""Everything the library reads of a Keras model that Keras does not document.

Every private name of Keras on which the library depends is in this package.
"""

from keras_bnsmooth.keras_model.batches import (
    arrays_to_tensors,
    batch_to_tensors,
)
from keras_bnsmooth.keras_model.layers import (
    flat_layers,
    global_seed_generator,
    graph_edges,
    layers_frozen_since_compile,
    observed_input_checks,
    options_of_layers,
    own_trainable_variables,
    preserve_added_losses,
    replaced_calls,
    set_global_seed_generator,
    sublayers,
)
from keras_bnsmooth.keras_model.optimizers import (
    Snapshot,
    check_learning_rate,
    has_learning_rate,
    inner_optimizers,
    learning_rate,
    observe_next_step,
    optimizers,
    snapshot,
    step,
)
from keras_bnsmooth.keras_model.training import (
    build,
    build_loss,
    call_in_training_mode,
    check_input,
    check_keras,
    compile_token,
    compute_loss,
    custom_training,
    scale_loss_for_replicas,
    traces_training_step,
    train_function,
)

__all__ = [
    "Snapshot",
    "arrays_to_tensors",
    "batch_to_tensors",
    "build",
    "build_loss",
    "call_in_training_mode",
    "check_input",
    "check_keras",
    "check_learning_rate",
    "compile_token",
    "compute_loss",
    "custom_training",
    "flat_layers",
    "global_seed_generator",
    "graph_edges",
    "has_learning_rate",
    "inner_optimizers",
    "layers_frozen_since_compile",
    "learning_rate",
    "observe_next_step",
    "observed_input_checks",
    "optimizers",
    "options_of_layers",
    "own_trainable_variables",
    "preserve_added_losses",
    "replaced_calls",
    "scale_loss_for_replicas",
    "set_global_seed_generator",
    "snapshot",
    "step",
    "sublayers",
    "traces_training_step",
    "train_function",
]
