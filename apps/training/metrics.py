"""Metrics of a run as JSON lines and TensorBoard curves."""

import math

import keras

from apps.errors import DivergedError
from keras_bnsmooth import keras_model
from keras_bnsmooth.records import json_lines
from keras_bnsmooth.records.tensorboard import EventFile


class Metrics(keras.callbacks.Callback):
    """Callback that writes the mean metrics of every epoch.

    An epoch of `fit` is the interval between two rows. A row holds `step`, the training
    metrics and, if they were evaluated, those on test data with the prefix `test_`.
    Rows contain no times, so equal runs have equal rows. Only the process that writes
    the run directory writes rows.

    Args:
        run: The `RunDirectory`.
        first_step: Number of steps already done.

    Raises:
        DivergedError: The loss is not finite; its row is written first.
        UserError: The run directory was removed or replaced.
    """

    def __init__(self, run, first_step=0):
        super().__init__()
        self._run = run
        self._event_files = {
            name: EventFile(run.path / name, first_step + 1)
            for name in (("train", "test") if run.writes else ())
        }

    def on_epoch_end(self, epoch, logs=None):
        """Writes the row of this epoch, then checks that its loss is finite."""
        step = keras_model.step(self.model)
        row = {"step": step}
        for name, value in logs.items():
            if name.startswith("val_"):
                name = f"test_{name.removeprefix('val_')}"
            row[name] = float(value)
        if self._run.writes:
            self._run.check_in_place()
            json_lines.append(self._run.metrics, row)
            self._write_events(row)
        if not math.isfinite(row["loss"]):
            raise DivergedError(step, row["loss"])

    def close(self):
        """Closes the event files."""
        for file in self._event_files.values():
            file.close()

    def _write_events(self, row):
        # With the same tag, TensorBoard draws both curves in one chart.
        curves = {"train": {}, "test": {}}
        for name, value in row.items():
            where = "test" if name.startswith("test_") else "train"
            curves[where][name.removeprefix("test_")] = value
        step = curves["train"].pop("step")
        for where, scalars in curves.items():
            if scalars:
                self._event_files[where].write(step, scalars)
