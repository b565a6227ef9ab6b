"""What all probes have in common as callbacks: when, on what, and the record."""

import math
import re

import keras
import numpy as np

from keras_bnsmooth import keras_model
from keras_bnsmooth.callbacks.batch_source import batch_source
from keras_bnsmooth.callbacks.schedules import schedule
from keras_bnsmooth.probes.arguments import check_built, to_tensors
from keras_bnsmooth.records.probe_record import Record


class ProbeCallback(keras.callbacks.Callback):
    """Measures the model at scheduled steps of `fit` and keeps a record.

    Step t is the t-th update of the weights, counted from 0 by
    `optimizer.iterations`, so that it goes on through epochs, calls of `fit` and
    restarts. The measurement of step t is made before that update. Where Keras gives
    the word to callbacks only every few updates (`steps_per_execution`), it is made
    at the first occasion at or after the scheduled step, and its row carries the
    step at which it was really made.

    Before training begins the measurement is tried, so that what does not fit is
    known then.

    Subclasses say what to measure: `check` and `measure`, and what of it to show:
    `layout`, `scalars` and `histograms`.

    Args:
        data: See `batch_source`.
        every: See `schedules.schedule`.
        log_dir: The run directory, or None to keep the history in memory only.
        name: Of the record: `log_dir/name.jsonl`, and TensorBoard's `log_dir/name/`.
        class_weight: Dict from class to weight, as in `model.fit`, or None.

    Raises:
        ValueError: An argument is not as described.
    """

    def __init__(self, data, *, every, log_dir=None, name="probe", class_weight=None):
        super().__init__()
        self._source = batch_source(data, class_weight)
        self._schedule = schedule(every)
        self._log_dir = log_dir
        self._name = name
        self._record = None
        self._rows = []
        self._last_step = None
        self._next_batch = 0
        self._training_begins = False
        self._probed_model = None

    @property
    def history(self):
        """Dict from the name of each quantity to its values, stacked over probes.

        After a restart it begins with the rows that the record already holds.
        """
        if not self._rows:
            return {}
        return {key: _stack([row[key] for row in self._rows]) for key in self._rows[0]}

    def check(self, batch):
        """Raises unless `measure` can be expected to succeed on such batches."""
        raise NotImplementedError

    def measure(self, step, batch):
        """Returns the row of the record for this step, without the step."""
        raise NotImplementedError

    def layout(self):
        """Returns the Custom Scalars layout of TensorBoard, or None."""
        return None

    def scalars(self, row):
        """Returns TensorBoard's scalars as a dict from tag to value."""
        return {}

    def histograms(self, row):
        """Returns TensorBoard's histograms as a dict: tag to (counts, edges)."""
        return {}

    def on_train_begin(self, logs=None):
        """Tries a measurement, so that errors show before training."""
        if self._probed_model not in (None, self.model):
            raise ValueError(
                f"This {type(self).__name__} has followed another model; make a new "
                "one for each model."
            )
        self._probed_model = self.model
        if getattr(self.model, "optimizer", None) is None:
            raise ValueError(
                f"{self.model.name} has no optimizer, whose steps {type(self).__name__}"
                " counts."
            )
        try:
            self.check(self._tensors(self._source.peek(self.step())))
        except Exception as error:
            raise ValueError(
                f"{type(self).__name__} cannot measure {self.model.name} on its data: "
                f"{_one_line(error)}"
            ) from error
        self._training_begins = True

    def on_epoch_begin(self, epoch, logs=None):
        """Counts batches anew."""
        self._next_batch = 0

    def on_train_batch_begin(self, batch, logs=None):
        """Measures if a scheduled step has come."""
        # Between probes batches are counted, since reading the step waits for the
        # last update on a GPU, and on JAX hands all weights back to the model.
        if batch < self._next_batch:
            return
        step = self.step()
        if self._training_begins:
            # Not earlier: callbacks may restore a checkpoint in `on_train_begin`.
            self._training_begins = False
            self._open(step)
        due = self._schedule.next(self._last_step + 1)
        if due is not None and due <= step and step != self._last_step:
            self._probe_now(step)
            due = self._schedule.next(step + 1)
        self._next_batch = math.inf if due is None else batch + max(1, due - step)

    def _probe_now(self, step):
        try:
            self.probe(step)
        except Exception as error:
            error.add_note(f"{type(self).__name__} was measuring step {step}.")
            raise
        self._last_step = step

    def on_train_end(self, logs=None):
        """Closes the record."""
        if self._record is not None:
            self._record.close()
            self._record = None

    def probe(self, step):
        """Measures and writes a row."""
        self.write({"step": step, **self.measure(step, self.take(step))})

    def take(self, step):
        """Returns the batch to measure on at `step`, as tensors."""
        return self._tensors(self._source.take(step))

    def step(self):
        """Returns the number of updates made so far."""
        return keras_model.step(self.model)

    def learning_rate(self):
        """Returns the present learning rate."""
        return keras_model.learning_rate(self.model)

    def write(self, row):
        """Adds a row, which begins with its step, to history and record."""
        self._rows.append(row)
        if self._record is not None:
            self._record.append(row, self.scalars(row), self.histograms(row))

    def _open(self, step):
        recorded = -1
        if self._log_dir is not None:
            self._record = Record(self._log_dir, self._name, step, self.layout())
            self._rows = self._record.rows
            if self._rows:
                recorded = self._rows[-1]["step"]
        if self._last_step is None or step < self._last_step:
            # When training goes on at this step, the steps since the last occasion
            # to probe have had their turn only if the record says so.
            previous = step - self.model.steps_per_execution
            self._last_step = max(previous, recorded)

    def _tensors(self, batch):
        check_built(self.model)
        return to_tensors(self.model, *batch)


def _stack(values):
    arrays = [np.asarray(value) for value in values]
    if len({array.shape for array in arrays}) == 1:
        return np.stack(arrays)
    ragged = np.empty(len(arrays), object)
    ragged[:] = arrays
    return ragged


def _one_line(error):
    """The message of an exception without colours and line breaks, cut to length."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)) or type(error).__name__
    text = " ".join(text.split())
    return text if len(text) <= 400 else f"{text[:397]}..."
