"""Distributions of activations during training."""

from collections.abc import Iterable, Mapping
from typing import Any

from keras_bnsmooth.callbacks.probe_callback import ProbeCallback
from keras_bnsmooth.probes.activations import (
    check_activations,
    measure_activations,
    warn_of_layers_left_out,
)
from keras_bnsmooth.probes.distributions import distribution, edges
from keras_bnsmooth.records.json_lines import PathLike


class ActivationProbe(ProbeCallback):
    """Records distributions of `kb.probes.activations` at scheduled steps of `fit`.

    TensorBoard shows mean and variance per layer under *Time Series* and the
    distributions under *Histograms*.

    Args:
        data: What to measure on: one batch (x, y) or (x, y, sample_weight), of which
            only x is used; a function from the step to a batch; a
            `keras.utils.PyDataset`; or a `tf.data.Dataset` other than the one that
            training iterates.
        every: When to measure: N for every N steps, a list of steps, or a schedule
            such as `LogSpaced()`.
        log_dir: Directory for `activations.jsonl` and TensorBoard events, or None.
        layers: Names of layers; defaults to all that have trainable weights, without
            those that cannot be followed, which a warning names, see
            `kb.probes.activations`.
        units: Index of the unit to follow, one for all layers or a dict from layer
            name to index; defaults to random ones.
        seed: Integer that determines random units, which stay the same throughout.
        bins: Number of histogram bins.
        successive: Whether to measure at the step after each scheduled one as well, on
            the same batch, for the change between two successive steps (figure 7 of
            the paper). With `steps_per_execution > 1` this is the next opportunity
            instead. A step that is scheduled itself is measured only once, on the
            earlier batch. If training stops between the two and resumes in another
            process, a `tf.data.Dataset` cannot supply that batch again; the second
            measurement is then skipped.
        name: Name of the record; set it if several probes share a `log_dir`.
        dry_run: Whether to run a trial measurement before training.
        overwrite: Whether to replace the record of another run in `log_dir`.
        on_error: `"raise"`, or `"warn"` and train on without the probe, see
            `kb.ProbeCallback`.
        budget: Share of the training time that measurements may take, see
            `ProbeCallback`.
        logs: Whether to add `mean` and `variance`, means over layers, to `logs`, see
            `ProbeCallback`.

    Attributes:
        history: Dict of arrays over T measurements: `step` [T], `batch_step` [T] (the
            step whose batch was measured: with `successive`, two rows in a row share
            one), `note` [T] (which layers cannot be followed, and why), `layers`
            [T, L], `units` [T, L], and of each distribution `mean`
            [T, L], `variance` [T, L], `minimum` [T, L], `maximum` [T, L] and `counts`
            [T, L, bins], in bins of equal width from minimum to maximum. Rows of the
            record have the same entries.

    Raises:
        ValueError: An argument is not as described. When training starts: there is no
            such layer or unit, the batch does not fit the model, two evaluations of
            the activations differ, or the record of another run is in the way.
        OSError: The record cannot be written.

    Example:
    ```python
    probe = kb.ActivationProbe((x[:128], y[:128]), every=500, layers=["conv1_1_bn"])
    model.fit(x, y, batch_size=128, callbacks=[probe])
    kb.plots.activations(probe)
    ```
    """

    logged = ("mean", "variance")

    def __init__(
        self,
        data: Any,
        *,
        every: Any,
        log_dir: PathLike | None = None,
        layers: Iterable[str] | None = None,
        units: int | Mapping[str, int] | None = None,
        seed: int = 0,
        bins: int = 64,
        successive: bool = False,
        name: str = "activations",
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
            dry_run=dry_run,
            overwrite=overwrite,
            on_error=on_error,
            budget=budget,
            logs=logs,
        )
        if bins < 1 or bins != int(bins):
            raise ValueError(f"bins must be a positive integer; received {bins}.")
        self._arguments = (None if layers is None else tuple(layers), units, seed)
        self._bins = int(bins)
        self._successive = bool(successive)
        # Step and batch of a measurement that the next one repeats on the same batch.
        self._repeat: tuple[int, tuple] | None = None

    def next_due(self, step):
        """Returns the first step at or after `step` at which to measure, or None."""
        return super().next_due(step) if self._repeat is None else step

    def probe(self, step):
        """Measures and writes a row."""
        repeats = self._repeat is not None
        batch_step, batch = self._repeat or (step, self.take(step))
        row = {"step": step, "batch_step": batch_step, **self.measure(step, batch)}
        self._repeat = (step, batch) if self._successive and not repeats else None
        self.write(row)

    def _open(self, step):
        super()._open(step)
        first = self._first_of_pair(step)
        if first is None:
            self._repeat = None
        elif self._repeat is None or self._repeat[0] != first:
            repeatable = self._source.repeatable
            self._repeat = (first, self.take(first)) if repeatable else None

    def _first_of_pair(self, step):
        """Returns the step measured last if `step` is to be measured on its batch."""
        if not (self._successive and self._rows):
            return None
        last = self._rows[-1]
        # Records of older versions have no `batch_step`.
        is_first = last.get("batch_step") == last["step"]
        is_recent = step - last["step"] <= self.model.steps_per_execution
        return last["step"] if is_first and is_recent else None

    def check(self, batch):
        """Runs a trial measurement, see `ProbeCallback`."""
        check_activations(self.model, batch[0], *self._arguments)

    def measure(self, step, batch):
        """Returns the row of the record, see `ProbeCallback`."""
        r = measure_activations(self.model, batch[0], *self._arguments)
        if not self._rows:
            warn_of_layers_left_out(self.model, r)
        found = [distribution(values, self._bins) for _, values in r.followed.values()]
        return {
            "note": r.note,
            "layers": list(r.followed),
            "units": [unit for unit, _ in r.followed.values()],
            "mean": [d.mean for d in found],
            "variance": [d.variance for d in found],
            "minimum": [d.minimum for d in found],
            "maximum": [d.maximum for d in found],
            "counts": [d.counts for d in found],
        }

    def scalars(self, row):
        """Returns TensorBoard's scalars as a dict from tag to value."""
        return {
            f"{moment}/{layer}": value
            for moment in ("mean", "variance")
            for layer, value in zip(row["layers"], row[moment], strict=True)
        }

    def histograms(self, row):
        """Returns TensorBoard's histograms as a dict: tag to (counts, edges)."""
        ranges = zip(row["minimum"], row["maximum"], strict=True)
        return {
            f"activations/{layer}": (counts, edges(low, high, self._bins))
            for layer, counts, (low, high) in zip(
                row["layers"], row["counts"], ranges, strict=True
            )
        }
