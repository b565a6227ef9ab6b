"""Metrics of a run, as JSON lines and as TensorBoard curves."""

import math

import keras

from apps.training.errors import DivergedError
from keras_bnsmooth import keras_model
from keras_bnsmooth.records import json_lines
from keras_bnsmooth.records.tensorboard import EventFile


class Metrics(keras.callbacks.Callback):
    """Writes a row at the end of every epoch: the means over its steps.

    An epoch of `fit` is here the interval between two rows. A row holds `step`, the
    metrics of training and, where they were measured, those on test data with the
    prefix `test_`. Nothing in it depends on the clock, so that two equal runs have
    equal rows. Where the run directory is not for this process to write, nothing is
    written.

    Args:
        run: The `RunDirectory`.
        first_step: Steps that are done already.
        derive: Function from a row to a dict of further entries, or None.

    Raises:
        DivergedError: The loss is not finite; its row is written first.
    """

    def __init__(self, run, first_step=0, derive=None):
        super().__init__()
        self._run = run
        self._derive = derive
        self._event_files = {
            name: EventFile(run.path / name, first_step + 1)
            for name in (("train", "test") if run.writes else ())
        }

    def on_epoch_end(self, epoch, logs=None):
        """Writes the row of this epoch."""
        step = keras_model.step(self.model)
        row = {"step": step}
        for name, value in logs.items():
            row[name.replace("val_", "test_")] = float(value)
        if self._derive is not None:
            row.update(self._derive(row))
        if self._run.writes:
            json_lines.append(self._run.metrics, row)
            self._write_events(row)
        if not math.isfinite(row["loss"]):
            raise DivergedError(step, row["loss"])

    def close(self):
        """Closes the event files, however training ended."""
        for file in self._event_files.values():
            file.close()

    def _write_events(self, row):
        for name, value in row.items():
            if name == "step":
                continue
            # One tag for both, so that TensorBoard draws them in one chart.
            where = "test" if name.startswith("test_") else "train"
            tag = name.removeprefix("test_")
            self._event_files[where].scalar(tag, value, row["step"])
        for file in self._event_files.values():
            file.flush()
