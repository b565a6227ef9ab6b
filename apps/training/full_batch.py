"""Many steps of full-batch gradient descent as one XLA program (TensorFlow)."""

import keras


def compile_full_batch(model):
    """Lets `fit` make all of its `steps_per_execution` steps inside one XLA program.

    For small networks, where starting each operation, or each compiled step, costs
    more than its arithmetic. Everything else of `fit` stays as it is: callbacks are
    called as often, and metrics are means over the same steps.

    The steps of one execution take the same batch, so the data given to `fit` must
    repeat a single batch for ever.

    Args:
        model: Compiled with `jit_compile=True` and `steps_per_execution`.

    Raises:
        ValueError: The backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "compile_full_batch needs the TensorFlow backend; "
            f"this is {keras.backend.backend()}."
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

    # `fit` makes its own function only where there is none.
    model.train_function = lambda iterator: steps_on(next(iterator))
