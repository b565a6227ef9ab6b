"""One run: `model.fit` between a run directory and its checkpoints."""

import math
import time

import keras

from apps.training import checkpoint, processes
from apps.training.checkpoint import Checkpoint
from apps.training.errors import DivergedError, RunError
from apps.training.metrics import Metrics
from apps.training.progress import Progress
from keras_bnsmooth import keras_model
from keras_bnsmooth.records.json_lines import atomic_write

_TEST_BATCH_SIZE = 500


@processes.ends_with_others()
def train(
    run,
    build,
    stream,
    *,
    steps,
    metrics_every,
    checkpoint_every,
    test_data=None,
    test_every=None,
    callbacks=(),
    derive=None,
):
    """Trains a model to step `steps`, from its last checkpoint where there is one.

    A run that was stopped at any moment ends with the same weights and the same
    metrics, bit for bit on a CPU, as one that was not.

    Args:
        run: The `RunDirectory`.
        build: Function without arguments that returns the compiled model.
        stream: Function from the first step to batches without end, as `fit` takes
            them: a generator, for instance.
        steps: Steps of the whole run.
        metrics_every: Steps between rows of metrics.
        checkpoint_every: Steps between checkpoints; rounded up to a multiple of
            `metrics_every`.
        test_data: (x, y), or None.
        test_every: Steps between two measurements on `test_data`; rounded up to a
            multiple of `metrics_every`.
        callbacks: Further Keras callbacks, such as probes.
        derive: Function from a row of metrics to a dict of further entries, or None.

    Returns:
        The model and the dict that `result.json` holds.

    Raises:
        DivergedError: The loss is no longer finite; the metrics up to there are kept.
        RunError: The run has diverged before.
        ProcessLostError: Another process that trains the same model has ended.
        OSError: The run directory cannot be written.
    """
    result = run.result()
    if result is not None:
        return _finished(run, result)
    model, first_step = _start(run, build)
    run.drop_records_after(first_step)
    started_at = time.monotonic()
    metrics = Metrics(run, first_step, derive)
    progress = Progress(steps)

    def writers(interval):
        if not run.writes:
            return []
        every = _round_up(checkpoint_every, interval)
        return [Checkpoint(run.checkpoint, every), progress]

    def fit(from_step, to_step, interval):
        """Calls `model.fit`, one epoch for each interval between two rows."""
        model.fit(
            stream(from_step),
            initial_epoch=from_step // interval,
            epochs=to_step // interval,
            steps_per_epoch=interval,
            shuffle=False,
            validation_data=test_data,
            validation_batch_size=_TEST_BATCH_SIZE,
            validation_freq=math.ceil((test_every or steps) / interval),
            callbacks=[
                *callbacks,
                metrics,
                *writers(interval),
            ],
            verbose=0,
        )

    # Where the rows do not divide the run, its last interval is a shorter one.
    last_row = steps - steps % metrics_every
    try:
        if first_step < last_row:
            fit(first_step, last_row, metrics_every)
        # A checkpoint may stand at the very end, too.
        if max(first_step, last_row) < steps:
            fit(last_row, steps, steps - last_row)
    except DivergedError as error:
        run.finish({"status": "diverged", "step": error.step, "message": str(error)})
        raise
    finally:
        metrics.close()
    if run.writes:
        with processes.alone(), atomic_write(run.model) as partial:
            model.save(partial)
    result = {"status": "finished", "steps": steps}
    if test_data is not None:
        test = model.evaluate(
            *test_data, batch_size=_TEST_BATCH_SIZE, verbose=0, return_dict=True
        )
        result.update({f"test_{name}": value for name, value in test.items()})
    seconds = time.monotonic() - started_at
    result["steps_per_second"] = round((steps - first_step) / seconds, 2)
    run.finish(result)
    processes.wait_for_all()
    return model, result


def _start(run, build):
    """Returns the model and the number of steps that it has been trained for."""
    model = build()
    if run.checkpoint.exists():
        try:
            checkpoint.restore(model, run.checkpoint)
        except ValueError as error:
            raise RunError(
                f"{error} Delete it to start the run again, or pass another --workdir."
            ) from error
    first_step = keras_model.step(model)
    processes.agree_on(first_step, "the step to go on from")
    return model, first_step


def _finished(run, result):
    if result["status"] == "diverged":
        raise RunError(f"{run.path} holds a run that ended: {result['message']}")
    print(f"The run in {run.path} is finished already.")
    return keras.models.load_model(run.model), result


def _round_up(value, multiple):
    return math.ceil(value / multiple) * multiple
