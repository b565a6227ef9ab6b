"""Distributions of activations during training."""

from keras_bnsmooth.callbacks.probe_callback import ProbeCallback
from keras_bnsmooth.callbacks.schedules import Successive
from keras_bnsmooth.probes.activations import measure
from keras_bnsmooth.probes.determinism import check_activations
from keras_bnsmooth.probes.distributions import distribution, edges


class ActivationProbe(ProbeCallback):
    """Measures the distribution of `probes.activations` at scheduled steps.

    Args:
        data: What to measure on: one batch (x, y) or (x, y, sample_weight), of which
            x alone is used, a function from the step to a batch, a
            `keras.utils.PyDataset`, or a `tf.data.Dataset` other than the one that
            training iterates; see `batch_source`.
        every: When: N for every N steps, a list of steps, or a schedule such as
            `LogSpaced()`.
        log_dir: Run directory for the record, or None. There, `activations.jsonl`
            gets one line a probe, and `activations/` TensorBoard's histograms.
        layers: Names of layers, or None for all that have trainable weights; see
            `probes.activations`.
        units: Index of the unit to follow, one for all layers or a dict; None takes
            random ones.
        seed: Integer that decides random units, the same ones throughout.
        bins: Positive number of bins of the histograms.
        successive: Whether to measure at the step after each scheduled one too, for
            the change between two successive steps (figure 7 of the paper); with
            `steps_per_execution` over 1, at the next occasion instead.
        name: Of the record, if a run has several.

    Attributes:
        history: Dict of arrays over the T probes: `step` [T], `layers` [T, L], `units`
            [T, L], and of each distribution `mean` [T, L], `variance` [T, L],
            `minimum` [T, L], `maximum` [T, L] and `counts` [T, L, bins], in bins of
            equal width from minimum to maximum. A row of the record has the same
            entries.

    Raises:
        ValueError: An argument is not as described; when training begins: there is
            no such layer or unit, the batch does not fit the model, its activations
            are not the same twice, or the record of another run is in the way.
        OSError: The record cannot be written.

    Example:
    ```python
    probe = ActivationProbe((x[:128], y[:128]), every=500, layers=["conv1_1_bn"])
    model.fit(x, y, batch_size=128, callbacks=[probe])
    plt.plot(probe.history["step"], probe.history["mean"])
    ```
    """

    def __init__(
        self,
        data,
        *,
        every,
        log_dir=None,
        layers=None,
        units=None,
        seed=0,
        bins=64,
        successive=False,
        name="activations",
    ):
        super().__init__(
            data,
            every=Successive(every) if successive else every,
            log_dir=log_dir,
            name=name,
        )
        if bins < 1 or bins != int(bins):
            raise ValueError(f"bins must be a positive integer; received {bins}.")
        self._arguments = (None if layers is None else tuple(layers), units, seed)
        self._bins = int(bins)

    def check(self, batch):
        """Tries a measurement, see `ProbeCallback`."""
        check_activations(self.model, batch[0], *self._arguments)

    def measure(self, step, batch):
        """Returns the row of the record, see `ProbeCallback`."""
        measured = measure(self.model, batch[0], *self._arguments)
        found = [distribution(values, self._bins) for _, values in measured.values()]
        return {
            "layers": list(measured),
            "units": [unit for unit, _ in measured.values()],
            "mean": [d.mean for d in found],
            "variance": [d.variance for d in found],
            "minimum": [d.minimum for d in found],
            "maximum": [d.maximum for d in found],
            "counts": [d.counts for d in found],
        }

    def scalars(self, row):
        """Returns the points of the curves, from tag to value."""
        return {
            f"{moment}/{layer}": value
            for moment in ("mean", "variance")
            for layer, value in zip(row["layers"], row[moment], strict=True)
        }

    def histograms(self, row):
        """Returns the histograms, from tag to (counts, edges)."""
        return {
            f"activations/{layer}": (counts, edges(minimum, maximum, self._bins))
            for layer, counts, minimum, maximum in zip(
                row["layers"],
                row["counts"],
                row["minimum"],
                row["maximum"],
                strict=True,
            )
        }
