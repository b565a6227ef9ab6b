"""What each backend of Keras makes of the arguments of `compile` that save time."""

import keras

from apps.training.devices import gpus


def use_xla(choice, on_cpu=False):
    """Returns `jit_compile` for `Model.compile`: whether the step is compiled.

    On TensorFlow it is compiled by XLA, on JAX by `jax.jit`, without which every
    operation is started by itself, and on torch by `torch.compile`.

    Args:
        choice: `"on"`, `"off"`, or `"auto"`. On TensorFlow that is on where there is
            a GPU, and on a CPU what `on_cpu` says: XLA's convolutions are several
            times slower there than oneDNN's. On JAX it is on, and on torch off, as
            Keras has it.
        on_cpu: Whether XLA is the faster one on a CPU.
    """
    if choice != "auto":
        return choice == "on"
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return on_cpu or bool(gpus())
    return backend == "jax"


def steps_per_execution(steps):
    """Returns `steps`, or 1 on torch, where Keras comes back to Python every step."""
    return 1 if keras.backend.backend() == "torch" else steps
