"""Base class of the probe callbacks: when to measure, on which data, and the record."""

import contextlib
import math
import numbers
import re
import warnings
import weakref
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_bnsmooth import autodiff, keras_model
from keras_bnsmooth.callbacks.batch_source import batch_source
from keras_bnsmooth.callbacks.schedules import schedule
from keras_bnsmooth.callbacks.stopwatch import Stopwatch
from keras_bnsmooth.callbacks.traced_step import check_traced_step
from keras_bnsmooth.probes.arguments import check_built, prepare
from keras_bnsmooth.probes.own_gradient import check_own_gradient
from keras_bnsmooth.records.columns import to_columns
from keras_bnsmooth.records.dashboard import Dashboard
from keras_bnsmooth.records.json_lines import PathLike
from keras_bnsmooth.records.probe_record import (
    ProbeRecord,
    check_log_dir,
    check_name,
    rows_up_to,
)

# path of a record -> the probe that writes it.
_writers: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


class ProbeCallback(keras.callbacks.Callback):
    """Base class for callbacks that measure the model at scheduled steps of `fit`.

    Subclasses implement `measure`, which returns one row of the record. They may
    override `check`, which runs before training, and choose what TensorBoard shows:
    `scalars` (by default every number in the row), `histograms` and `dashboard`. The
    entries of the row that they name in `logged` reach the `logs` of `fit`.

    Steps are weight updates, counted from 0 by `optimizer.iterations`, so the count
    continues across epochs, calls to `fit` and restarts. A probe at step t runs before
    update t. With `steps_per_execution > 1`, or a `train_step` that makes several
    updates, Keras invokes callbacks only every few updates. The probe then runs at the
    first opportunity at or after the scheduled step and records the step at which it
    actually ran. A model that has its own `train_step` may have other optimizers than
    the compiled one, as attributes; the one that makes most updates counts.

    A trial measurement runs before training starts, so that incompatibilities surface
    immediately; it is skipped if the same model, compiled the same way, has passed it.
    With it, the loss and gradient that probes see are compared with those of the
    model's own variables, taken as training takes them.

    Args:
        data: What to measure on, converted as `fit` does: one batch (x, y) or
            (x, y, sample_weight), or x alone as an array or a dict; a function from the
            step to a batch; a `keras.utils.PyDataset`; or a `tf.data.Dataset` or torch
            `DataLoader` other than the one that training iterates. Global random
            generators that the data draw from are left as they were. May be None if the
            subclass says `needs_data = False`; every batch is None then.
        every: When to measure: N for every N steps, a list of steps, or a schedule
            such as `LogSpaced()`.
        log_dir: Directory for the record, or None to keep only `history`. The probe
            writes `log_dir/NAME.jsonl`, one row per measurement, and TensorBoard events
            in `log_dir/NAME/`. Several probes may share a directory.
        name: Name of the record, a file name. Several probes that share a directory
            need different ones.
        class_weight: Dict from class to weight, as in `model.fit`, or None.
        loss: What the functions of `kb.probes` measure instead of the compiled loss,
            for a model that has its own `train_step`: a function
            `(model, x, y, sample_weight) -> scalar` in `keras.ops`, see
            `kb.probes.landscape`.
        dry_run: Whether to run the trial measurement, which costs about as much as one
            measurement.
        overwrite: Whether to replace the record of another run in `log_dir`, as when a
            notebook cell runs again.
        on_error: What to do when a measurement fails in the middle of training, as for
            lack of memory: `"raise"`, or `"warn"` and go on training without the probe.
        budget: Share of the training time that measurements may take, for instance
            0.02, or None. Steps that `every` makes due then wait until time for them
            has accrued, so that `overhead` stays close to the budget, whatever the
            model; the first is never delayed. The record holds the steps at which the
            probe ran. They depend on the speed of the machine, so they differ between
            runs.
        logs: Whether to add the latest values of the entries in `logged` to `logs` at
            the end of each epoch, as `"NAME/ENTRY"`, such as `"landscape/beta"`; NaN
            before the first measurement. `History`, the progress bar and the callbacks
            that follow this one receive them, so a probe must come before an
            `EarlyStopping` or `CSVLogger` that reads them. Give several probes
            different names.

    Attributes:
        overhead: Seconds spent on measurements over those of training without them,
            from the first batch of `fit` on, so without the start; NaN before that.
        logged: Names of the entries of a row that `logs` receive. Of an entry with one
            value per layer it is the mean over layers, without NaN.
        needs_data: Whether the subclass measures on data; True unless it says
            otherwise.
        needs_loss: Whether the subclass measures the training loss; False unless it
            says otherwise. A model that has its own `train_step` is then refused
            before training unless `loss` is given.
        without_learning_rate: What to do where there is no single learning rate, if the
            subclass cannot do without, else None. Such a model is then refused before
            training, in a line that ends with these words.

    Raises:
        ValueError: An argument is not as described. When training starts: the model
            or the data cannot be measured, or the record of another run is in the way.
        OSError: The record cannot be written.

    Example:
    ```python
    class ConfidenceProbe(kb.ProbeCallback):
        \"\"\"Records how confident a classifier is at inference.\"\"\"

        logged = ("mean", "minimum")

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

    logged: tuple[str, ...] = ()
    needs_data = True
    needs_loss = False
    without_learning_rate: str | None = None

    def __init__(
        self,
        data: Any = None,
        *,
        every: Any,
        log_dir: PathLike | None = None,
        name: str = "probe",
        class_weight: Mapping[int, float] | None = None,
        loss: autodiff.Loss | None = None,
        dry_run: bool = True,
        overwrite: bool = False,
        on_error: str = "raise",
        budget: float | None = None,
        logs: bool = True,
    ):
        super().__init__()
        self._source = batch_source(data, class_weight, optional=not self.needs_data)
        self._schedule = schedule(every)
        self._log_dir = log_dir
        self._name = check_name(name)
        self._loss = autodiff.check_loss(loss)
        self._dry_run = dry_run
        self._overwrite = bool(overwrite)
        if on_error not in ("raise", "warn"):
            raise ValueError(
                f"on_error must be 'raise' or 'warn'; received {on_error!r}."
            )
        self._on_error = on_error
        if budget is not None and not (_is_real(budget) and 0 < budget < math.inf):
            raise ValueError(
                "budget must be a positive share of the training time, such as 0.02, "
                f"or None; received {budget!r}."
            )
        self._budget = budget
        self._logged = self.logged if logs else ()
        self._stopwatch = Stopwatch()
        self._failed = False
        self._record: ProbeRecord | None = None
        self._rows: list[dict[str, Any]] = []
        self._last_step = -1
        self._warned = False
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

    @property
    def overhead(self) -> float:
        """Share of the training time that measurements took so far."""
        return self._stopwatch.overhead()

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

    def summary(self, row: dict[str, Any]) -> dict[str, float]:
        """Returns what `logs` receive of a row, a dict with the keys `logged`."""
        return {name: _mean(row.get(name, np.nan)) for name in self.logged}

    def set_model(self, model):
        """Attaches the callback to the model that `fit` trains."""
        keras_model.check_keras(model)
        super().set_model(model)

    def on_train_begin(self, logs=None):
        """Runs the trial measurement."""
        if self._probed_model not in (None, self.model):
            raise ValueError(
                f"This {type(self).__name__} is already attached to another model. "
                "Create one probe per model."
            )
        self._probed_model = self.model
        self._failed = False
        self._stopwatch.pause()  # an earlier training may have been interrupted
        if not keras_model.optimizers(self.model):
            raise ValueError(
                f"{self.model.name} has no optimizer; {type(self).__name__} counts "
                "the optimizer's steps. Call model.compile(optimizer=...) first."
            )
        if self._log_dir is not None:
            self._claim_record()
        check_traced_step(self.model)
        if self.without_learning_rate is not None:
            keras_model.check_learning_rate(self.model, self.without_learning_rate)
        if self.needs_loss:
            with self.objective():
                autodiff.check_trains_compiled_loss(self.model)
        token = keras_model.compile_token(self.model)
        if self._dry_run and (token is None or token != self._checked):
            try:
                with self.objective():
                    batch = self._tensors(self._source.peek(self.step()))
                    self.check(batch)
                    if self.needs_loss:
                        check_own_gradient(self.model, batch)
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
        self._stopwatch.tick()
        if batch < self._next_batch or self._failed:
            return
        if self._budget is not None and not self._stopwatch.affords(self._budget):
            return
        step = self.step()
        if self._training_starts:
            # Not in `on_train_begin`, where other callbacks may restore a checkpoint.
            self._training_starts = False
            self._open(step)
        due = self.next_due(self._last_step + 1)
        if due is not None and due <= step and step != self._last_step:
            try:
                with self._stopwatch.measurement(), self.objective():
                    self.probe(step)
            except Exception as error:
                self.fail(error, step)
                return
            self._last_step = step
            due = self.next_due(step + 1)
        if due is None:
            self._next_batch = math.inf
        elif keras_model.custom_training(self.model) is None:
            self._next_batch = batch + max(1, due - step)
        else:  # may make any number of updates per batch
            self._next_batch = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        """Adds the latest values to `logs`."""
        if not self._logged or logs is None:
            return
        values = self.summary(self._rows[-1] if self._rows else {})
        values = {f"{self._name}/{name}": values[name] for name in self._logged}
        if shared := values.keys() & logs.keys():
            warnings.warn(
                f"{min(shared)} was in logs and {type(self).__name__} replaces it. "
                "Give each probe its own name=, or pass logs=False.",
                stacklevel=2,
            )
        logs.update(values)

    def on_train_end(self, logs=None):
        """Closes the record."""
        self._warn_of_uncounted_updates()
        self._stopwatch.tick()
        self._stopwatch.pause()
        for path in [path for path, probe in _writers.items() if probe is self]:
            del _writers[path]
        if self._record is not None:
            self._record.close()
            self._record = None

    def probe(self, step: int) -> None:
        """Measures and writes a row."""
        self.write({"step": step, **self.measure(step, self.take(step))})

    def fail(self, error: Exception, step: int) -> None:
        """Raises the error of a measurement, or warns, as `on_error` says."""
        if self._on_error == "raise":
            error.add_note(f"{type(self).__name__} was measuring step {step}.")
            raise error
        self._failed = True
        warnings.warn(
            f"{type(self).__name__} failed at step {step} and measures no more: "
            f"{_one_line(error)}",
            stacklevel=3,
        )

    def objective(self) -> contextlib.AbstractContextManager:
        """Returns the context in which the model's loss is the argument `loss`."""
        return autodiff.objective(self.model, self._loss)

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
        """Returns the optimizer's current learning rate, NaN if there is no single one.

        A `MultiOptimizer` has none, nor has a model with several optimizers.
        """
        return keras_model.learning_rate(self.model)

    def write(self, row: dict[str, Any]) -> None:
        """Adds a row, which includes its step, to the history and the record."""
        self._warn_of_nan(row)
        self._rows.append(row)
        if self._record is not None:
            histograms, texts = self.histograms(row), self._texts()
            self._record.append(row, self.scalars(row), histograms, texts)

    def _texts(self):
        """Returns TensorBoard's texts: the note of the last row, where it is new."""
        before, now = [{}, *self._rows][-2:]
        note, known = now.get("note", ""), before.get("note", "")
        return {} if note == known else {"note": note or "Nothing any more."}

    def _claim_record(self):
        """Raises a ValueError if another probe of this training writes the record."""
        path = check_log_dir(self._log_dir) / self._name
        other = _writers.get(path)
        # All callbacks of a call of `fit` share one `params`. A probe of an earlier
        # training, which may have been interrupted, writes no longer.
        if (
            other not in (None, self)
            and other.model is self.model
            and other.params is self.params
        ):
            raise ValueError(
                f"two probes write {path}.jsonl, a {type(other).__name__} and a "
                f"{type(self).__name__}; give each its own name= or log_dir=."
            )
        _writers[path] = self

    def _warn_of_uncounted_updates(self):
        """Says that steps were not counted, if several batches made none."""
        several = 1 < self._next_batch < math.inf
        custom = keras_model.custom_training(self.model)
        if several and custom is not None and self.step() == 0:
            warnings.warn(
                f"{type(self).__name__} measured at step 0 alone: no optimizer of "
                f"{self.model.name} counted an update. Assign the one that its "
                f"{custom} calls to an attribute of the model.",
                stacklevel=3,
            )

    def _warn_of_nan(self, row):
        """Says once that the learning rate is not a number."""
        is_nan = np.isnan(row.get("learning_rate", 0.0))
        if is_nan and not self._warned and keras_model.has_learning_rate(self.model):
            self._warned = True
            warnings.warn(
                f"The learning rate of {self.model.name} is NaN at step "
                f"{row['step']}; so is what {type(self).__name__} derives from it.",
                stacklevel=2,
            )

    def _open(self, step):
        if self._log_dir is not None:
            self._record = ProbeRecord(
                self._log_dir, self._name, step, self.dashboard(), self._overwrite
            )
            self._rows = self._record.rows
        else:
            self._rows = rows_up_to(step, self._rows)
        recorded = self._rows[-1]["step"] if self._rows else -1
        # Steps since the previous opportunity to measure are done only if recorded.
        if self._rows and keras_model.custom_training(self.model) is not None:
            self._last_step = recorded  # updates per batch are not known
        else:
            self._last_step = max(step - self.model.steps_per_execution, recorded)

    def _tensors(self, batch):
        if batch is None:
            return check_built(self.model)
        return prepare(self.model, batch)


def _mean(values):
    """Mean of those that are not NaN; NaN if all are."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    with np.errstate(invalid="ignore"):  # infinities of both signs
        return float(values.mean()) if values.size else math.nan


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _one_line(error):
    """The message of an exception without colors and line breaks, cut to length."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)) or type(error).__name__
    text = " ".join(text.split())
    return text if len(text) <= 400 else f"{text[:397]}..."
