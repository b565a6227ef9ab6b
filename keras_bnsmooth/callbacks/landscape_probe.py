"""Loss landscape, gradient predictiveness and beta-smoothness during training."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_bnsmooth.autodiff import Loss
from keras_bnsmooth.callbacks.probe_callback import ProbeCallback
from keras_bnsmooth.probes.arguments import check_model
from keras_bnsmooth.probes.directions import (
    check_direction,
    random_direction,
    update_direction,
)
from keras_bnsmooth.probes.landscape import (
    check_landscape,
    check_step_sizes,
    measure_landscape,
)
from keras_bnsmooth.records.dashboard import BandChart, Dashboard, LineChart
from keras_bnsmooth.records.json_lines import PathLike

# [1/2, 4] x learning rate, as for the VGG of the paper (appendix A.2.2).
_MULTIPLES = tuple(np.geomspace(0.5, 4.0, 8))
# Their names in chart titles.
_DIRECTIONS = {
    "gradient": "the gradient",
    "update": "the optimizer's update",
    "random": "a random direction",
    "filter_normalized_random": "a filter-normalized random direction",
}


class LandscapeProbe(ProbeCallback):
    """Records `kb.probes.landscape` at scheduled steps of `model.fit`.

    TensorBoard shows loss, gradient norm and beta under *Time Series*, and the bands of
    the loss and of the change of the gradient under *Custom Scalars*.

    With momentum or Adam, pass `direction="update"`: the default moves along the
    gradient by multiples of the learning rate, as only plain SGD does.

    Args:
        data: What to measure on: one batch (x, y) or (x, y, sample_weight); a
            function from the step to a batch; a `keras.utils.PyDataset`; or a
            `tf.data.Dataset` other than the one that training iterates.
        every: When to measure: N for every N steps, a list of steps, or a schedule
            such as `LogSpaced()`.
        log_dir: Directory for `landscape.jsonl` and TensorBoard events, or None.
        step_sizes: Step sizes s along the direction, K positive numbers. Defaults to
            `multiples` of the optimizer's learning rate at each measurement, or of its
            update, which is step size 1; required if there is no single learning rate,
            as with a `MultiOptimizer`, except along the update.
        multiples: Step sizes in multiples of the learning rate or of the update, K
            positive numbers. Defaults to 8 from 1/2 to 4, log-spaced. Pass either this
            or `step_sizes`.
        direction: `"gradient"`, `"update"` (what the optimizer would do at this step
            with the probe's batch in place of that of training), `"random"` or
            `"filter_normalized_random"`, see `kb.probes.landscape`. Every measurement
            draws a new random direction.
        seed: Integer that determines random directions.
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
        logs: Whether to add `beta`, `loss_range` (largest loss less smallest) and
            `gradient_distance` (the largest) to `logs`, see `ProbeCallback`.

    Attributes:
        history: Dict of arrays over T measurements: `step` [T], `note` [T] (what
            cannot be relied on and why, in words), `learning_rate` [T],
            and the attributes of `kb.probes.Landscape`: [T, K] those of each step
            size, `step_sizes`, `losses`, `gradient_distances`, `resolved` and `betas`;
            [T] all others. Rows of the record have the same entries.

    Raises:
        ValueError: An argument is not as described. When training starts: the model
            has nothing to probe, the batch does not fit it, two evaluations of the
            loss differ, or the record of another run is in the way.
        OSError: The record cannot be written.

    Example:
    ```python
    probe = kb.LandscapeProbe((x[:128], y[:128]), every=50, log_dir="runs/bn")
    model.fit(x, y, batch_size=128, callbacks=[probe])
    kb.plots.landscape(probe)
    ```
    """

    logged = ("beta", "loss_range", "gradient_distance")
    needs_loss = True

    def __init__(
        self,
        data: Any,
        *,
        every: Any,
        log_dir: PathLike | None = None,
        step_sizes: Any = None,
        multiples: Any = None,
        direction: str = "gradient",
        seed: int = 0,
        class_weight: Mapping[int, float] | None = None,
        loss: Loss | None = None,
        name: str = "landscape",
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
        if step_sizes is not None and multiples is not None:
            raise ValueError(
                "Pass either step_sizes or multiples of the learning rate, not both."
            )
        self._step_sizes = None if step_sizes is None else check_step_sizes(step_sizes)
        if step_sizes is None and direction != "update":
            self.without_learning_rate = "pass step_sizes= or direction='update'"
        self._multiples = check_step_sizes(
            _MULTIPLES if multiples is None else multiples, "multiples"
        )
        self._direction = check_direction(direction)
        self._seed = seed

    def check(self, batch):
        """Runs a trial measurement, see `ProbeCallback`."""
        check_model(self.model)
        count = len(self._current_step_sizes())
        check_landscape(self.model, batch, count, *self._direction_at(0, batch))

    def measure(self, step, batch):
        """Returns the row of the record, see `ProbeCallback`."""
        sizes, direction = self._current_step_sizes(), self._direction_at(step, batch)
        r = measure_landscape(self.model, batch, sizes, *direction)
        return {
            "note": r.note,
            "learning_rate": self.learning_rate(),
            **vars(r),
        }

    def dashboard(self):
        """Returns the charts for TensorBoard's Custom Scalars."""
        along = f"along {_DIRECTIONS[self._direction]}"
        return Dashboard(
            f"Loss landscape {along}",
            [
                BandChart(f"Loss {along}", "loss_band"),
                BandChart("Change of the gradient", "gradient_band"),
                LineChart("Effective beta-smoothness", "^beta$"),
            ],
        )

    def scalars(self, row):
        """Returns TensorBoard's scalars as a dict from tag to value."""
        resolved = np.asarray(row["resolved"])
        distances = np.asarray(row["gradient_distances"])
        return {
            "loss": row["loss"],
            "gradient_norm": row["gradient_norm"],
            "beta": row["beta"],
            "beta_over_range": row["beta_over_range"],
            "saturated": float(row["saturated"]),
            **_band("loss_band", np.asarray(row["losses"])),
            **_band("gradient_band", distances[resolved]),
        }

    def summary(self, row):
        """Returns what `logs` receive of a row, see `ProbeCallback`."""
        losses = np.asarray(row.get("losses", np.nan), np.float64)
        distances = np.asarray(row.get("gradient_distances", []))
        resolved = np.asarray(row.get("resolved", []), bool)
        return super().summary(row) | {
            "loss_range": float(losses.max()) - float(losses.min()),
            "gradient_distance": float(max(distances[resolved], default=np.nan)),
        }

    def _direction_at(self, step, batch):
        """Returns the arguments `random` and `update` of `measure_landscape`."""
        if self._direction == "update":
            return None, update_direction(self.model, batch)
        return random_direction(self._direction, self.model, [self._seed, step]), None

    def _current_step_sizes(self):
        if self._step_sizes is not None:
            return self._step_sizes
        if self._direction == "update":
            return self._multiples
        # Zero at the start of a warm-up, where the landscape is a single point.
        return self._multiples * self.learning_rate()


def _band(tag, values):
    """Points of the curves that a `BandChart` draws."""
    if not values.size:
        values = np.array([np.nan])
    return {
        f"{tag}/low": values.min(),
        f"{tag}/median": np.median(values),
        f"{tag}/high": values.max(),
    }
