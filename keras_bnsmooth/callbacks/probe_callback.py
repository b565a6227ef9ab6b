"""Base class of the probe callbacks: when to measure, on which data, and the record."""

import math
import numbers
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_bnsmooth import keras_model
from keras_bnsmooth.autodiff.generators import preserve_global_generators
from keras_bnsmooth.callbacks.batch_source import batch_source
from keras_bnsmooth.callbacks.schedules import schedule
from keras_bnsmooth.probes.arguments import check_built, to_tensors
from keras_bnsmooth.records.columns import to_columns
from keras_bnsmooth.records.dashboard import Dashboard
from keras_bnsmooth.records.json_lines import PathLike
from keras_bnsmooth.records.probe_record import ProbeRecord, rows_up_to


class ProbeCallback(keras.callbacks.Callback):
    """Base class for callbacks that measure the model at scheduled steps of `fit`.

    Subclasses implement `measure`, which returns one row of the record. They may
    override `check`, which runs before training, and choose what TensorBoard shows:
    `scalars` (by default every number in the row), `histograms` and `dashboard`.

    Steps are weight updates, counted from 0 by `optimizer.iterations`, so the count
    continues across epochs, calls to `fit` and restarts. A probe at step t runs before
    update t. With `steps_per_execution > 1`, Keras invokes callbacks only every few
    updates. The probe then runs at the first opportunity at or after the scheduled step
    and records the step at which it actually ran.

    A trial measurement runs before training starts, so that incompatibilities surface
    immediately; it is skipped if the same model, compiled the same way, has passed it.

    Args:
        data: What to measure on: one batch (x, y) or (x, y, sample_weight); a
            function from the step to a batch; a `keras.utils.PyDataset`; or a
            `tf.data.Dataset` other than the one that training iterates. May be None if
            the subclass says `needs_data = False`; every batch is None then.
        every: When to measure: N for every N steps, a list of steps, or a schedule
            such as `LogSpaced()`.
        log_dir: Directory for the record, or None to keep only `history`. The probe
            writes `log_dir/NAME.jsonl`, one row per measurement, and TensorBoard events
            in `log_dir/NAME/`. Several probes may share a directory.
        name: Name of the record.
        class_weight: Dict from class to weight, as in `model.fit`, or None.
        dry_run: Whether to run the trial measurement, which costs about as much as one
            measurement.

    Attributes:
        needs_data: Whether the subclass measures on data; True unless it says
            otherwise.

    Raises:
        ValueError: An argument is not as described. When training starts: the model
            or the data cannot be measured, or the record of another run is in the way.
        OSError: The record cannot be written.

    Example:
    ```python
    class ConfidenceProbe(kb.ProbeCallback):
        \"\"\"Records how confident a classifier is at inference.\"\"\"

        def measure(self, step, batch):
            x, y, sample_weight = batch
            logits = self.model(x, training=False)
            confidence = keras.ops.max(keras.ops.softmax(logits), axis=-1)
            return {
                "mean": float(keras.ops.mean(confidence)),
                "minimum": float(keras.ops.min(confidence)),
            }


    probe = ConfidenceProbe((x, y), every=10, log_dir="runs/mine", name="confidence")
    model.fit(x, y, callbacks=[probe])
    print(probe.history["mean"])
    ```
    """

    needs_data = True

    def __init__(
        self,
        data: Any = None,
        *,
        every: Any,
        log_dir: PathLike | None = None,
        name: str = "probe",
        class_weight: Mapping[int, float] | None = None,
        dry_run: bool = True,
    ):
        super().__init__()
        self._source = batch_source(data, class_weight, optional=not self.needs_data)
        self._schedule = schedule(every)
        self._log_dir = log_dir
        self._name = name
        self._dry_run = dry_run
        self._record: ProbeRecord | None = None
        self._rows: list[dict[str, Any]] = []
        self._last_step = -1
        self._next_batch: float = 0
        self._training_starts = False
        self._probed_model: keras.Model | None = None
        self._checked: Any = None

    @property
    def history(self) -> dict[str, np.ndarray]:
        """Dict from the name of each quantity to its values, stacked over measurements.

        Quantities that a measurement lacks, as those of an older version may, are NaN.

        After a restart it begins with the rows that the record already holds. If
        training starts over at step 0, as after `compile`, it starts over too.
        """
        return to_columns(self._rows)

    def measure(self, step: int, batch: tuple) -> dict[str, Any]:
        """Returns the row of the record for this step, without the step itself.

        Must leave the model unchanged.

        Args:
            step: The current step.
            batch: (x, y, sample_weight) as tensors; y and sample_weight may be None.
                None if the probe was constructed without data.
        """
        raise NotImplementedError

    def check(self, batch: tuple) -> None:
        """Raises an exception unless `measure` can be expected to succeed.

        Runs before training; by default it measures once.
        """
        self.measure(self.step(), batch)

    def dashboard(self) -> Dashboard | None:
        """Returns the charts for TensorBoard's Custom Scalars, or None."""
        return None

    def scalars(self, row: dict[str, Any]) -> dict[str, float]:
        """Returns TensorBoard's scalars as a dict from tag to value."""
        return {
            key: float(value)
            for key, value in row.items()
            if key != "step" and isinstance(value, numbers.Real)
        }

    def histograms(self, row: dict[str, Any]) -> dict[str, tuple]:
        """Returns TensorBoard's histograms as a dict: tag to (counts, edges)."""
        return {}

    def on_train_begin(self, logs=None):
        """Runs the trial measurement."""
        if self._probed_model not in (None, self.model):
            raise ValueError(
                f"This {type(self).__name__} is already attached to another model. "
                "Create one probe per model."
            )
        self._probed_model = self.model
        if getattr(self.model, "optimizer", None) is None:
            raise ValueError(
                f"{self.model.name} has no optimizer; {type(self).__name__} counts "
                "the optimizer's steps. Call model.compile(optimizer=...) first."
            )
        token = keras_model.compile_token(self.model)
        if self._dry_run and (token is None or token != self._checked):
            try:
                with preserve_global_generators():
                    self.check(self._tensors(self._source.peek(self.step())))
            except Exception as error:
                raise ValueError(
                    f"{type(self).__name__} cannot measure {self.model.name} on its "
                    f"data: {_one_line(error)}"
                ) from error
            self._checked = token
        self._training_starts = True

    def on_epoch_begin(self, epoch, logs=None):
        """Resets the batch counter."""
        self._next_batch = 0

    def on_train_batch_begin(self, batch, logs=None):
        """Measures if a scheduled step is due."""
        # Counts batches between measurements, because reading the step waits for the
        # last update on a GPU, and on JAX copies all weights back to the model.
        if batch < self._next_batch:
            return
        step = self.step()
        if self._training_starts:
            # Not in `on_train_begin`, where other callbacks may restore a checkpoint.
            self._training_starts = False
            self._open(step)
        due = self.next_due(self._last_step + 1)
        if due is not None and due <= step and step != self._last_step:
            try:
                with preserve_global_generators():
                    self.probe(step)
            except Exception as error:
                error.add_note(f"{type(self).__name__} was measuring step {step}.")
                raise
            self._last_step = step
            due = self.next_due(step + 1)
        self._next_batch = math.inf if due is None else batch + max(1, due - step)

    def on_train_end(self, logs=None):
        """Closes the record."""
        if self._record is not None:
            self._record.close()
            self._record = None

    def probe(self, step: int) -> None:
        """Measures and writes a row."""
        self.write({"step": step, **self.measure(step, self.take(step))})

    def next_due(self, step: int) -> int | None:
        """Returns the first step at or after `step` at which to measure, or None."""
        return self._schedule.next(step)

    def take(self, step: int) -> tuple:
        """Returns the batch to measure on at `step`, as tensors."""
        return self._tensors(self._source.take(step))

    def step(self) -> int:
        """Returns the number of weight updates so far."""
        return keras_model.step(self.model)

    def learning_rate(self) -> float:
        """Returns the optimizer's current learning rate."""
        return keras_model.learning_rate(self.model)

    def write(self, row: dict[str, Any]) -> None:
        """Adds a row, which includes its step, to the history and the record."""
        self._rows.append(row)
        if self._record is not None:
            self._record.append(row, self.scalars(row), self.histograms(row))

    def _open(self, step):
        if self._log_dir is not None:
            self._record = ProbeRecord(
                self._log_dir, self._name, step, self.dashboard()
            )
            self._rows = self._record.rows
        else:
            self._rows = rows_up_to(step, self._rows)
        recorded = self._rows[-1]["step"] if self._rows else -1
        # Steps since the previous opportunity to measure are done only if recorded.
        self._last_step = max(step - self.model.steps_per_execution, recorded)

    def _tensors(self, batch):
        check_built(self.model)
        return None if batch is None else to_tensors(self.model, *batch)


def _one_line(error):
    """The message of an exception without colors and line breaks, cut to length."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)) or type(error).__name__
    text = " ".join(text.split())
    return text if len(text) <= 400 else f"{text[:397]}..."
