"""Norms of weights, gradients and updates per layer during training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_bnsmooth import backend
from keras_bnsmooth.autodiff import Loss
from keras_bnsmooth.callbacks.update_probe import UpdateProbe
from keras_bnsmooth.probes.arguments import check_model, check_weights
from keras_bnsmooth.probes.lanczos import Vector, to_host
from keras_bnsmooth.probes.layer_scales import measure_layer_scales
from keras_bnsmooth.records.arrays import read_arrays, write_arrays
from keras_bnsmooth.records.dashboard import Dashboard, LineChart
from keras_bnsmooth.records.json_lines import PathLike

# Their names in chart titles.
_QUANTITIES = {
    "update_ratio": "Update over weights",
    "effective_learning_rate": "Effective learning rate",
    "weight_norm": "Norm of the weights",
    "gradient_norm": "Norm of the gradient",
    "distance": "Distance from the initial weights",
}


class LayerScaleProbe(UpdateProbe):
    """Records `kb.probes.layer_scales` at scheduled steps of `model.fit`.

    Per layer: ||W||, ||g||, ||update|| / ||W|| of the update that the optimizer really
    makes and, where a normalization follows, the effective learning rate lr / ||W||^2.
    Also ||W - W(0)||, the distance from the initial weights, per layer and in total.
    W(0) are the weights at which the record starts; they take a copy of the weights on
    the host and, for runs that resume, one in `log_dir/layer_scales_initial.npz`.

    Without `data`, all of it comes from the update itself and nothing is
    differentiated. The norm of the gradient is then known for plain SGD only, where
    the gradient is -update / lr; for momentum, Adam or clipped gradients it is NaN, so
    pass `data` to have it.

    TensorBoard shows these quantities per layer, under *Time Series* and, all layers
    in one chart, under *Custom Scalars*.

    Args:
        data: What to measure the norm of the gradient on, at one evaluation of loss and
            gradient: one batch (x, y) or (x, y, sample_weight); a function from the
            step to a batch; a `keras.utils.PyDataset`; or a `tf.data.Dataset` other
            than the one that training iterates. None for the gradient of training's
            own batch, recovered from the update.
        every: When to measure: N for every N steps, a list of steps, or a schedule
            such as `LogSpaced()`.
        log_dir: Directory for `layer_scales.jsonl` and TensorBoard events, or None.
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
        logs: Whether to add `total_distance` and, as means over layers, `update_ratio`
            and `effective_learning_rate` to `logs`, see `ProbeCallback`.

    Attributes:
        history: Dict of arrays over T measurements: `step` [T], `note` [T] (what
            cannot be relied on and why, in words), `learning_rate` [T],
            `layers` [T, L], `weight_norm` [T, L], `gradient_norm` [T, L],
            `update_ratio` [T, L], `effective_learning_rate` [T, L], `distance` [T, L]
            and `total_distance` [T], as in `kb.probes.LayerScales`. Rows of the record
            have the same entries.

    Raises:
        ValueError: As for `UpdateProbe`: among others, the model must be compiled with
            `steps_per_execution=1`. When training resumes: the file with the initial
            weights is damaged.
        OSError: The record cannot be written.

    Example:
    ```python
    probe = kb.LayerScaleProbe(every=50, log_dir="runs/bn")
    model.fit(x, y, batch_size=128, callbacks=[probe])
    kb.plots.layer_scales(probe)
    ```
    """

    logged = ("total_distance", "update_ratio", "effective_learning_rate")
    needs_data = False
    _initial_weights: Vector | None = None

    def __init__(
        self,
        data: Any = None,
        *,
        every: Any,
        log_dir: PathLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        loss: Loss | None = None,
        name: str = "layer_scales",
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
        self.needs_loss = data is not None

    def check(self, batch):
        """Runs a trial measurement, see `UpdateProbe`."""
        if batch is None:
            check_weights(self.model)
        else:
            check_model(self.model)
        super().check(batch)

    def measure_update(self, step, batch, weights, next_weights, learning_rate):
        """Returns the row of the record, see `UpdateProbe`."""
        r = measure_layer_scales(
            self.model,
            weights,
            next_weights,
            learning_rate,
            batch,
            self._initial_weights,
        )
        return {
            "note": f"{r.note} {self._note()}".strip(),
            "learning_rate": learning_rate,
            "layers": r.layers,
            "weight_norm": r.weight_norm,
            "gradient_norm": r.gradient_norm,
            "update_ratio": r.update_ratio,
            "effective_learning_rate": r.effective_learning_rate,
            "distance": r.distance,
            "total_distance": r.total_distance,
        }

    def dashboard(self):
        """Returns the charts for TensorBoard's Custom Scalars."""
        return Dashboard(
            "Layer scales",
            [LineChart(title, f"^{name}/") for name, title in _QUANTITIES.items()],
        )

    def scalars(self, row):
        """Returns TensorBoard's scalars as a dict from tag to value."""
        return {
            f"{name}/{layer}": value
            for name in _QUANTITIES
            for layer, value in zip(row["layers"], row[name], strict=True)
            if not np.isnan(value)
        } | {"total_distance": row["total_distance"]}

    def _note(self):
        if self._initial_weights is not None:
            return ""
        return "The distance is not known, since an older version began the record."

    def _open(self, step):
        super()._open(step)
        if step and self._initial_weights is not None:
            return
        path = None
        if self._log_dir is not None:
            path = Path(self._log_dir) / f"{self._name}_initial.npz"
        if step and path is not None and path.exists():
            shapes = [tuple(v.shape) for v in self.model.trainable_variables]
            self._initial_weights = read_arrays(path, shapes)
        elif not self._rows:  # else the record is of an older version
            self._initial_weights = to_host(self.model.trainable_variables)
            if path is not None and backend.process_index() == 0:
                write_arrays(path, self._initial_weights)
