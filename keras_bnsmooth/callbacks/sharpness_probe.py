"""Curvature and the critical learning rate during training."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_bnsmooth.autodiff import Loss
from keras_bnsmooth.callbacks.update_probe import UpdateProbe, check_update
from keras_bnsmooth.probes.arguments import as_weights, check_model
from keras_bnsmooth.probes.critical_learning_rate import measure_critical_learning_rate
from keras_bnsmooth.probes.sharpness import (
    check_lanczos,
    check_sharpness,
    measure_sharpness,
)
from keras_bnsmooth.records.dashboard import Dashboard, LineChart
from keras_bnsmooth.records.json_lines import PathLike


class SharpnessProbe(UpdateProbe):
    """Records `kb.probes.sharpness` at scheduled steps of `model.fit`.

    Also records `kb.probes.critical_learning_rate`. TensorBoard shows every quantity
    under *Time Series* and, under *Custom Scalars*, the sharpness with 2 / learning
    rate and the critical learning rate with the learning rate. Full-batch gradient
    descent typically drives the sharpness up to 2 / learning rate, the edge of
    stability, and keeps it there (Cohen et al., 2021); that threshold is the one of
    gradient descent without momentum.

    Args:
        data: What to measure on: one batch (x, y) or (x, y, sample_weight); a
            function from the step to a batch; a `keras.utils.PyDataset`; or a
            `tf.data.Dataset` other than the one that training iterates.
        every: When to measure: N for every N steps, a list of steps, or a schedule
            such as `LogSpaced()`.
        log_dir: Directory for `sharpness.jsonl` and TensorBoard events, or None.
        update: Direction of the critical learning rate. `"gradient_descent"`, the
            gradient on the probe's batch. `"training"`: the update that the optimizer
            actually makes at step t, over its learning rate, so that the critical
            learning rate compares with that of Adam, for instance; then everything is
            measured after the update, at the weights before it, and
            `steps_per_execution=1` is required.
        iterations: Largest number of Lanczos iterations, see `kb.probes.sharpness`.
        tolerance: Relative error bound at which they stop.
        seed: Integer that determines the random start of each measurement.
        class_weight: Dict from class to weight, as in `model.fit`, or None.
        loss: What to measure instead of the compiled loss, for a model that has its own
            `train_step`: a function `(model, x, y, sample_weight) -> scalar` in
            `keras.ops`, see `kb.probes.landscape`.
        name: Name of the record; set it if several probes share a `log_dir`.
        dry_run: Whether to run a trial measurement before training.
        overwrite: Whether to replace the record of another run in `log_dir`.
        on_error: `"raise"`, or `"warn"` and train on without the probe, see
            `kb.ProbeCallback`.
        budget: Share of the training time that measurements may take, see
            `ProbeCallback`.
        logs: Whether to add `sharpness` and `critical_learning_rate` to `logs`, see
            `ProbeCallback`.

    Attributes:
        history: Dict of arrays [T] over T measurements: `step`, `note` (what
            cannot be relied on and why, in words), `learning_rate`,
            `critical_learning_rate`, and the attributes of `kb.probes.Sharpness`. Rows
            of the record have the same entries.

    Raises:
        ValueError: As for `LandscapeProbe`, and as for `UpdateProbe` with
            `update="training"`. When training starts: the second derivative of the
            model is not available, see `kb.probes.sharpness`.
        OSError: The record cannot be written.

    Example:
    ```python
    probe = kb.SharpnessProbe((x[:128], y[:128]), every=100, log_dir="runs/bn")
    model.fit(x, y, batch_size=128, callbacks=[probe])
    kb.plots.sharpness(probe)
    ```
    """

    logged = ("sharpness", "critical_learning_rate")
    needs_loss = True

    def __init__(
        self,
        data: Any,
        *,
        every: Any,
        log_dir: PathLike | None = None,
        update: str = "gradient_descent",
        iterations: int = 20,
        tolerance: float = 0.01,
        seed: int = 0,
        class_weight: Mapping[int, float] | None = None,
        loss: Loss | None = None,
        name: str = "sharpness",
        dry_run: bool = True,
        overwrite: bool = False,
        on_error: str = "raise",
        budget: float | None = None,
        logs: bool = True,
    ):
        super().__init__(
            data,
            every=every,
            log_dir=log_dir,
            name=name,
            class_weight=class_weight,
            loss=loss,
            dry_run=dry_run,
            overwrite=overwrite,
            on_error=on_error,
            budget=budget,
            logs=logs,
        )
        self.needs_update = check_update(update)
        if self.needs_update:
            self.without_learning_rate = "pass update='gradient_descent'"
        check_lanczos(iterations, tolerance)
        self._iterations = iterations
        self._tolerance = tolerance
        self._seed = seed

    def check(self, batch):
        """Runs a trial measurement, see `ProbeCallback`."""
        check_model(self.model)
        check_sharpness(self.model, batch)
        measure_critical_learning_rate(self.model, batch)

    def measure(self, step, batch):
        """Returns the row of the record, see `ProbeCallback`."""
        learning_rate = self.learning_rate()
        critical = measure_critical_learning_rate(
            self.model, batch, first=learning_rate
        )
        return self._row(step, batch, learning_rate, critical)

    def measure_update(self, step, batch, weights, next_weights, learning_rate):
        """Returns the row of the record, see `UpdateProbe`."""
        direction = [
            (before - after) / learning_rate if learning_rate else np.zeros_like(before)
            for before, after in zip(weights, next_weights, strict=True)
        ]
        here = as_weights(self.model, weights)
        critical = measure_critical_learning_rate(
            self.model,
            batch,
            as_weights(self.model, direction),
            first=learning_rate,
            weights=here,
        )
        return self._row(step, batch, learning_rate, critical, here)

    def dashboard(self):
        """Returns the charts for TensorBoard's Custom Scalars."""
        return Dashboard(
            "Sharpness",
            [
                LineChart("Sharpness, and 2 / learning rate", "^(sharpness|2/lr)$"),
                LineChart(
                    "Critical learning rate, and learning rate",
                    "^(critical_)?learning_rate$",
                ),
                LineChart("Lowest eigenvalue", "^lowest_eigenvalue$"),
            ],
        )

    def scalars(self, row):
        """Returns TensorBoard's scalars as a dict from tag to value."""
        rate = row["learning_rate"]
        return {**super().scalars(row), **({"2/lr": 2 / rate} if rate else {})}

    def _row(self, step, batch, learning_rate, critical, weights=None):
        r = measure_sharpness(
            self.model,
            batch,
            self._iterations,
            self._tolerance,
            [self._seed, step],
            weights,
        )
        return {
            "note": r.note,
            "learning_rate": learning_rate,
            "critical_learning_rate": critical,
            **vars(r),
        }
