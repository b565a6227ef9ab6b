"""Weights along training."""

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bnsmooth import backend
from keras_bnsmooth.callbacks.probe_callback import ProbeCallback
from keras_bnsmooth.probes.arguments import check_weights
from keras_bnsmooth.records import snapshots
from keras_bnsmooth.records.json_lines import PathLike


class TrajectoryProbe(ProbeCallback):
    """Saves the trainable weights at scheduled steps of `fit`.

    `kb.plots.trajectory` draws their path. Before training, a line says how many
    snapshots there will be and how much disk space they take. A run that resumes from a
    checkpoint deletes later snapshots, since it writes them again.

    Args:
        every: When to save: N for every N steps, a list of steps, or a schedule
            such as `LogSpaced()`.
        log_dir: Directory for `trajectory.jsonl`, which lists the snapshots, and the
            folder `trajectory` with one NumPy file per snapshot.
        name: Name of both; set it if several probes share a `log_dir`.
        overwrite: Whether to replace both if they are of another run.
        on_error: `"raise"`, or `"warn"` and train on without the probe, see
            `kb.ProbeCallback`.
        budget: Share of the training time that saving may take, see `ProbeCallback`.

    Attributes:
        folder: The folder of the snapshots.
        history: Dict of arrays over T snapshots: `step` [T] and `variables` [T, V],
            such as "dense/kernel (4, 3)". Rows of the record have the same entries.

    Raises:
        ValueError: An argument is not as described. When training starts: the model has
            no weights to train, or the record of another run is in the way.
        OSError: A snapshot or the record cannot be written.

    Example:
    ```python
    probe = kb.TrajectoryProbe(every=50, log_dir="runs/bn")
    model.fit(x, y, batch_size=128, epochs=10, callbacks=[probe])
    kb.plots.trajectory(probe, model, (x[:512], y[:512]))
    ```
    """

    needs_data = False

    def __init__(
        self,
        *,
        every: Any,
        log_dir: PathLike,
        name: str = "trajectory",
        overwrite: bool = False,
        on_error: str = "raise",
        budget: float | None = None,
    ):
        super().__init__(
            every=every,
            log_dir=log_dir,
            name=name,
            overwrite=overwrite,
            on_error=on_error,
            budget=budget,
        )
        self.folder = Path(log_dir) / name

    def check(self, batch):
        """Checks that there are weights to save."""
        check_weights(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        """Before the first epoch, says how much disk space the snapshots take."""
        super().on_epoch_begin(epoch, logs)
        if self._training_starts and backend.process_index() == 0:
            print(self._disk_space(epoch))

    def measure(self, step, batch):
        """Saves a snapshot and returns the row of the record."""
        variables = self.model.trainable_variables
        arrays = [keras.ops.convert_to_numpy(v) for v in variables]
        if backend.process_index() == 0:
            snapshots.write(self.folder, step, arrays)
        return {"variables": snapshots.describe(variables)}

    def _open(self, step):
        super()._open(step)
        if backend.process_index() == 0:
            snapshots.keep(self.folder, [row["step"] for row in self._rows])

    def _disk_space(self, epoch):
        variables = self.model.trainable_variables
        bytes_each = np.result_type("f4", *(v.dtype for v in variables)).itemsize
        size = sum(math.prod(v.shape) for v in variables) * bytes_each
        if not self.params["steps"]:
            return f"TrajectoryProbe: snapshots of {_bytes(size)} in {self.folder}."
        step, count = self.step(), 0
        end = step + (self.params["epochs"] - epoch) * self.params["steps"]
        while (due := self.next_due(step)) is not None and due < end:
            step, count = due + 1, count + 1
        return (
            f"TrajectoryProbe: up to {count:,} snapshots of {_bytes(size)}, together "
            f"{_bytes(count * size)}, in {self.folder}."
        )


def _bytes(number):
    unit = 0
    while number >= 999.5:
        number, unit = number / 1000, unit + 1
    return f"{number:.3g} {('B', 'kB', 'MB', 'GB', 'TB', 'PB')[unit]}"
