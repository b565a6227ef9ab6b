"""Arguments of `Model.compile` that save time, per backend of Keras."""

import keras

from apps.training.environment import gpus


def use_xla(choice, on_cpu=False):
    """Returns `jit_compile` for `Model.compile`: whether to compile the training step.

    TensorFlow compiles it with XLA, JAX with `jax.jit`, without which every operation
    is dispatched separately, and torch with `torch.compile`.

    Args:
        choice: `"on"`, `"off"` or `"auto"`. On TensorFlow, auto is on if there is a
            GPU and `on_cpu` otherwise, since XLA's convolutions are several times
            slower on a CPU than oneDNN's. It is on for JAX and off for torch, Keras'
            own defaults.
        on_cpu: Whether XLA is faster than TensorFlow's own kernels on a CPU.
    """
    if choice != "auto":
        return choice == "on"
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return on_cpu or bool(gpus())
    return backend == "jax"


def steps_per_execution(steps):
    """Returns `steps`, or 1 on torch, where Keras runs one step at a time."""
    return 1 if keras.backend.backend() == "torch" else steps


def compile_full_batch(model):
    """Makes `fit` run all its `steps_per_execution` steps in one XLA program.

    This pays for small networks, where launching an operation, or a compiled step,
    costs more than its arithmetic. Callbacks are invoked as often as before, and
    metrics are means over the same steps. All steps of one execution use the same
    batch, so the data passed to `fit` must repeat a single batch forever.

    Args:
        model: Compiled with `jit_compile=True` and `steps_per_execution`.

    Raises:
        RuntimeError: The backend is not TensorFlow.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise RuntimeError(
            f"compile_full_batch needs the TensorFlow backend; this is {backend}."
        )
    import tensorflow as tf

    @tf.function(jit_compile=True, reduce_retracing=True)
    def steps_on(batch):
        def step(number):
            model.train_step(batch)
            return (number + 1,)

        tf.while_loop(
            lambda number: number < model.steps_per_execution, step, (tf.constant(0),)
        )
        return model.get_metrics_result()

    # `fit` keeps a train function that is already set.
    model.train_function = lambda iterator: steps_on(next(iterator))
