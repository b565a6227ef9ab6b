"""A run: `model.fit` between a run directory and its checkpoints."""

import math
import time

from apps.errors import DivergedError, UserError
from apps.training import checkpoint, processes
from apps.training.checkpoint import Checkpoint
from apps.training.metrics import Metrics
from apps.training.progress import Progress
from apps.training.run_directory import check_records
from keras_bnsmooth import keras_model, recompute_moving_statistics
from keras_bnsmooth.records.json_lines import atomic_write

_TEST_BATCH_SIZE = 500


@processes.detect_lost_processes()
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
    statistics_batches=None,
    callbacks=(),
):
    """Trains a model up to step `steps`, from its last checkpoint if there is one.

    A run stopped at any moment and resumed ends with the same weights and metrics as
    an uninterrupted one, bit for bit on a CPU. A finished run is left as it is.

    Args:
        run: The `RunDirectory`; its `model.keras` will hold the trained model.
        build: Function without arguments that returns the compiled model.
        stream: Function that maps the first step to an endless stream of batches that
            `fit` accepts, such as a generator.
        steps: Total steps of the run.
        metrics_every: Steps between rows of metrics.
        checkpoint_every: Steps between checkpoints, rounded up to a multiple of
            `metrics_every`.
        test_data: (x, y), or None.
        test_every: Steps between evaluations on `test_data`, rounded up to a multiple
            of `metrics_every`.
        statistics_batches: Iterable of batches, or None. If given, the result has a
            second evaluation on `test_data`, `test_NAME_recomputed`, for which the
            moving statistics are recomputed on these batches without noise. The saved
            model and the rows of metrics keep those of training.
        callbacks: Additional Keras callbacks, such as probes.

    Returns:
        The dict that `result.json` holds.

    Raises:
        DivergedError: The loss is not finite; the metrics up to there are kept.
        UserError: The run has diverged before, or its checkpoint cannot be used.
        ProcessLostError: Another process that trains the same model has ended.
        OSError: The run directory cannot be written.
    """
    result = run.result()
    if result is not None:
        if result["status"] == "diverged":
            raise UserError(f"{run.path} holds a run that ended: {result['message']}")
        check_records(run.path, result.get("records", {}))
        print(f"The run in {run.path} is already finished.")
        return result
    model = build()
    records = None
    if run.checkpoint.exists():
        records = checkpoint.restore(model, run.checkpoint)
    first_step = keras_model.step(model)
    processes.agree_on(first_step, "the step to resume from")
    run.restore_records(records, first_step)
    started_at = time.monotonic()
    metrics = Metrics(run, first_step)
    progress = Progress(steps)

    def fit(from_step, to_step, interval):
        """Calls `model.fit` with one epoch per interval between two rows."""
        writers = []
        if run.writes:
            every = math.ceil(checkpoint_every / interval) * interval
            writers = [Checkpoint(run, every), progress]
        model.fit(
            stream(from_step),
            initial_epoch=from_step // interval,
            epochs=to_step // interval,
            steps_per_epoch=interval,
            shuffle=False,
            validation_data=test_data,
            validation_batch_size=_TEST_BATCH_SIZE,
            validation_freq=math.ceil((test_every or steps) / interval),
            callbacks=[*callbacks, metrics, *writers],
            verbose=0,
        )

    # If the rows do not divide the run, its last interval is shorter.
    last_row = steps - steps % metrics_every
    try:
        if first_step < last_row:
            fit(first_step, last_row, metrics_every)
        # The last checkpoint may have been at the very end.
        if max(first_step, last_row) < steps:
            fit(last_row, steps, steps - last_row)
    except DivergedError as error:
        run.finish(
            {
                "status": "diverged",
                "step": error.step,
                "message": str(error),
                "records": run.checksums(),
            }
        )
        raise
    finally:
        metrics.close()
    if run.writes:
        with processes.alone(), atomic_write(run.model) as partial:
            model.save(partial)
    result = {"status": "finished", "steps": steps}
    if test_data is not None:
        result.update(_evaluate(model, test_data, "test_{}"))
        if statistics_batches is not None:
            recompute_moving_statistics(model, statistics_batches)
            result.update(_evaluate(model, test_data, "test_{}_recomputed"))
    result["records"] = run.checksums()
    seconds = time.monotonic() - started_at
    result["steps_per_second"] = round((steps - first_step) / seconds, 2)
    run.finish(result)
    processes.wait_for_all()
    return result


def _evaluate(model, test_data, template):
    """Returns a dict of metrics on `test_data`, whose names fill the template."""
    metrics = model.evaluate(
        *test_data, batch_size=_TEST_BATCH_SIZE, verbose=0, return_dict=True
    )
    return {template.format(name): value for name, value in metrics.items()}
