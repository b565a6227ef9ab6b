"""Base class of the probes that need the update that the optimizer really makes."""

from typing import Any

import numpy as np

from keras_bnsmooth import autodiff, keras_model
from keras_bnsmooth.callbacks.probe_callback import ProbeCallback

_UPDATES = ("gradient_descent", "training")


def check_update(update: str) -> bool:
    """Returns whether `update` is `"training"`, or raises a ValueError."""
    if update not in _UPDATES:
        raise ValueError(
            f"update must be one of {', '.join(map(repr, _UPDATES))}; "
            f"received {update!r}."
        )
    return update == "training"


class UpdateProbe(ProbeCallback):
    """Base class for callbacks that measure the optimizer's update at scheduled steps.

    Subclasses implement `measure_update` instead of `measure`. It receives the weights
    right before and right after the training step that makes the update, so it sees
    the optimizer's update alone, no matter what other callbacks do to the weights, in
    which order they run, and what `use_ema` or `EarlyStopping` restore at the end.

    Update t is recorded at step t. With `gradient_accumulation_steps=N` that is the
    update after the N-th batch; under mixed float16, a batch whose gradient overflows
    makes no update, and update t is the next one made.

    It measures when the next batch begins, or when the epoch ends: by then Keras has
    the model's state in place again. At steps that are not scheduled it costs nothing.
    At scheduled ones it copies the weights to the host, before and after the step.

    Arguments, `history` and errors are those of `ProbeCallback`.

    Attributes:
        needs_update: Whether to measure updates. A subclass whose arguments decide sets
            it to False in its constructor if they ask for none; it then measures with
            `measure`, as a `ProbeCallback`.

    Raises:
        ValueError: As `ProbeCallback`. When training starts: the model was compiled
            with `steps_per_execution > 1`, which hides single updates, or its optimizer
            overwrites the weights with their moving average
            (`ema_overwrite_frequency`). During training: a training step made several
            updates, or updates are made outside `fit` and `train_on_batch`.

    Example:
    ```python
    class DistanceProbe(kb.UpdateProbe):
        \"\"\"Records how far each update moves the weights.\"\"\"

        def measure_update(self, step, batch, weights, next_weights, learning_rate):
            moved = zip(weights, next_weights, strict=True)
            return {"distance": sum(((a - b) ** 2).sum() for a, b in moved) ** 0.5}


    probe = DistanceProbe((x, y), every=10)
    model.fit(x, y, callbacks=[probe])
    print(probe.history["distance"])
    ```
    """

    needs_update = True
    _pending: tuple | None = None
    _before: keras_model.Snapshot | None = None
    _after: keras_model.Snapshot | None = None

    def measure_update(
        self,
        step: int,
        batch: tuple,
        weights: list[np.ndarray],
        next_weights: list[np.ndarray],
        learning_rate: float,
    ) -> dict[str, Any]:
        """Returns the row of the record for this step, without the step itself.

        Must leave the model unchanged. The model itself is past the update by then.

        Args:
            step: The step t of the update.
            batch: (x, y, sample_weight) as tensors; y and sample_weight may be None.
                None if the probe was constructed without data.
            weights: W(t), before the update, one array per variable in
                `model.trainable_variables`.
            next_weights: W(t+1), right after it.
            learning_rate: The learning rate with which the update was made.
        """
        raise NotImplementedError

    def check(self, batch):
        """Runs a trial measurement of an update of zero, see `ProbeCallback`."""
        if not self.needs_update:
            return super().check(batch)
        now = keras_model.snapshot(self.model)
        self.measure_update(
            now.step, batch, now.weights, now.weights, now.learning_rate
        )

    def on_train_begin(self, logs=None):
        """Checks that updates can be seen, and runs the trial measurement."""
        self._pending = self._before = self._after = None
        if self.needs_update:
            self._check_updates()
        super().on_train_begin(logs)

    def on_train_batch_begin(self, batch, logs=None):
        """Measures the previous update, and observes the next if it is due."""
        self._measure_observed()
        super().on_train_batch_begin(batch, logs)
        if self._pending is not None:
            keras_model.observe_next_step(
                self.model, self._before_step, self._after_step
            )

    def on_epoch_end(self, epoch, logs=None):
        """Measures the last update of the epoch if it was due."""
        self._measure_observed()
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        """Closes the record."""
        self._measure_observed()
        super().on_train_end(logs)

    def probe(self, step):
        """Measures now, or makes the update of this step the one to observe."""
        if self.needs_update:
            self._pending = (step, self.take(step))
        else:
            super().probe(step)

    def _before_step(self, take_snapshot):
        with self._stopwatch.measurement(continued=True):
            self._before = take_snapshot()
            # On JAX, `self.model` would sync variables, in the middle of the step.
            self._restore_untracked = autodiff.save_untracked_state(
                self._probed_model, self._loss
            )

    def _after_step(self, take_snapshot):
        with self._stopwatch.measurement(continued=True):
            snapshot = take_snapshot()
        # A batch that only accumulates gradients makes no update.
        if self._before is not None and snapshot.step > self._before.step:
            self._after = snapshot

    def _measure_observed(self):
        if self._pending is None:
            return
        step, batch = self._pending
        before, after = self._before, self._after
        if after is None:
            if self.step() == step:
                return  # the update is still to come
            if before is None:
                raise ValueError(
                    f"{type(self).__name__} did not see update {step}: it sees those "
                    "made by model.fit and model.train_on_batch only."
                )
        self._pending = self._before = self._after = None
        if after is None:
            return  # the data ended instead, which TensorFlow may count as a step
        if after.step - before.step > 1:
            raise ValueError(
                f"{type(self).__name__} needs training steps that make one update "
                f"each; {self.model.name} made {after.step - before.step} in one."
            )
        try:
            with (
                self._stopwatch.measurement(continued=True),
                self.objective(),
                keras_model.with_state(self.model, before.state),
            ):
                # `objective` puts back what this changes.
                self._restore_untracked()
                row = self.measure_update(
                    step, batch, before.weights, after.weights, before.learning_rate
                )
                self.write({"step": step, **row})
        except Exception as error:
            self.fail(error, step)

    def _check_updates(self):
        if self.model.steps_per_execution > 1:
            raise ValueError(
                f"{type(self).__name__} needs steps_per_execution=1, to see the "
                f"weights after a single step; {self.model.name} was compiled with "
                f"{self.model.steps_per_execution}."
            )
        for optimizer in keras_model.inner_optimizers(self.model):
            if optimizer.use_ema and optimizer.ema_overwrite_frequency:
                raise ValueError(
                    f"{type(self).__name__} cannot see the optimizer's update where "
                    f"ema_overwrite_frequency={optimizer.ema_overwrite_frequency} "
                    "overwrites the weights with their moving average in the same "
                    "step; use keras.callbacks.SwapEMAWeights instead."
                )
