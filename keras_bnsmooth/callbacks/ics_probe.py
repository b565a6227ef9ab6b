"""Internal covariate shift during training."""

from collections.abc import Iterable, Mapping
from typing import Any

from keras_bnsmooth.autodiff import Loss
from keras_bnsmooth.callbacks.update_probe import UpdateProbe, check_update
from keras_bnsmooth.probes.arguments import as_weights, check_model
from keras_bnsmooth.probes.internal_covariate_shift import (
    check_covariate_shift,
    check_layers,
    measure_covariate_shift,
)
from keras_bnsmooth.records.dashboard import Dashboard, LineChart
from keras_bnsmooth.records.json_lines import PathLike


class ICSProbe(UpdateProbe):
    """Records `kb.probes.internal_covariate_shift` at scheduled steps of `model.fit`.

    TensorBoard shows the l2 difference and the cosine per layer, under *Time Series*
    and, all layers in one chart, under *Custom Scalars*.

    Args:
        data: What to measure on: one batch (x, y) or (x, y, sample_weight); a
            function from the step to a batch; a `keras.utils.PyDataset`; or a
            `tf.data.Dataset` other than the one that training iterates.
        every: When to measure: N for every N steps, a list of steps, or a schedule
            such as `LogSpaced()`.
        log_dir: Directory for `ics.jsonl` and TensorBoard events, or None.
        update: What moves the weights from W(t) to W(t+1). `"gradient_descent"`, the
            paper's definition: the step W - lr g on the probe's batch, with the
            optimizer's learning rate at t. `"training"`: the update that the optimizer
            actually makes at step t, with its own batch and momentum, see
            `kb.UpdateProbe`; it requires `steps_per_execution=1`.
        layers: Names of the layers to measure, or a number of layers evenly spaced in
            depth; by default all. Costs a gradient per layer for models of more than
            60.
        join_normalizations: Whether gamma and beta count as weights of the layer
            before the normalization, instead of as a layer of their own, see
            `kb.probes.internal_covariate_shift`.
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
        logs: Whether to add `l2` and `cosine`, means over layers, to `logs`, see
            `ProbeCallback`.

    Attributes:
        history: Dict of arrays over T measurements: `step` [T], `note` [T] (what
            cannot be relied on and why, in words), `learning_rate` [T],
            `layers` [T, L], `l2` [T, L] and `cosine` [T, L], as in
            `kb.probes.InternalCovariateShift`. Rows of the record have the same
            entries.

    Raises:
        ValueError: As for `LandscapeProbe` and, with `update="training"`, as for
            `UpdateProbe`.
        OSError: The record cannot be written.

    Example:
    ```python
    probe = kb.ICSProbe((x[:128], y[:128]), every=200, log_dir="runs/bn")
    model.fit(x, y, batch_size=128, callbacks=[probe])
    kb.plots.covariate_shift(probe)
    ```
    """

    logged = ("l2", "cosine")
    needs_loss = True

    def __init__(
        self,
        data: Any,
        *,
        every: Any,
        log_dir: PathLike | None = None,
        update: str = "gradient_descent",
        layers: int | Iterable[str] | None = None,
        join_normalizations: bool = False,
        class_weight: Mapping[int, float] | None = None,
        loss: Loss | None = None,
        name: str = "ics",
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
        self._options = {
            "layers": check_layers(layers),
            "join_normalizations": bool(join_normalizations),
        }
        if not self.needs_update:
            self.without_learning_rate = "pass update='training'"

    def check(self, batch):
        """Runs a trial measurement, see `ProbeCallback`."""
        check_model(self.model)
        if self.needs_update:
            here = as_weights(self.model, self.model.trainable_variables)
            no_step = {"weights": here, "next_weights": here}
        else:
            no_step = {"learning_rate": 0.0}
        check_covariate_shift(self.model, batch, no_step | self._options)

    def measure(self, step, batch):
        """Returns the row of the record, see `ProbeCallback`."""
        learning_rate = self.learning_rate()
        r = measure_covariate_shift(
            self.model,
            batch,
            learning_rate,
            **self._options,
        )
        return _row(r, learning_rate)

    def measure_update(self, step, batch, weights, next_weights, learning_rate):
        """Returns the row of the record, see `UpdateProbe`."""
        r = measure_covariate_shift(
            self.model,
            batch,
            weights=as_weights(self.model, weights),
            next_weights=as_weights(self.model, next_weights),
            **self._options,
        )
        return _row(r, learning_rate)

    def dashboard(self):
        """Returns the charts for TensorBoard's Custom Scalars."""
        return Dashboard(
            "Internal covariate shift",
            [
                LineChart("l2 difference of gradients", "^l2/"),
                LineChart("Cosine of gradients", "^cosine/"),
            ],
        )

    def scalars(self, row):
        """Returns TensorBoard's scalars as a dict from tag to value."""
        return {
            f"{quantity}/{layer}": value
            for quantity in ("l2", "cosine")
            for layer, value in zip(row["layers"], row[quantity], strict=True)
        }


def _row(r, learning_rate):
    return {
        "note": r.note,
        "learning_rate": learning_rate,
        "layers": r.layers,
        "l2": r.l2,
        "cosine": r.cosine,
    }
