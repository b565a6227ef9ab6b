"""The eigenvalues of the Hessian during training."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_bnsmooth.autodiff import Loss
from keras_bnsmooth.callbacks.probe_callback import ProbeCallback
from keras_bnsmooth.probes.arguments import check_counts, check_model
from keras_bnsmooth.probes.sharpness import check_sharpness
from keras_bnsmooth.probes.spectrum import measure_spectrum
from keras_bnsmooth.records.dashboard import BandChart, Dashboard, LineChart
from keras_bnsmooth.records.json_lines import PathLike

_BINS = 128
_EIGENVALUES = (
    "eigenvalues",
    "error_bounds",
    "lowest_eigenvalues",
    "lowest_error_bounds",
)


class SpectrumProbe(ProbeCallback):
    """Records `kb.probes.spectrum` at scheduled steps of `model.fit`.

    TensorBoard shows extreme eigenvalues and trace under *Time Series*, the density
    under *Histograms*, where a bar is a number of eigenvalues, and, under *Custom
    Scalars*, the trace with its standard error.

    A measurement costs `steps` times `draws` products of the Hessian and a vector,
    about two gradients each: measure rarely, or set a `budget`.

    Args:
        data: What to measure on; see `LandscapeProbe`.
        every: When to measure: N for every N steps, a list of steps, or a schedule
            such as `LogSpaced()`.
        steps: Lanczos steps per draw, see `kb.probes.spectrum`.
        draws: Number of random vectors.
        eigenvalues: k, how many eigenvalues to record from either end.
        seed: Integer that determines the random vectors of each measurement.
        log_dir: Directory for `spectrum.jsonl` and TensorBoard events, or None.
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
        logs: Whether to add the `largest` and `smallest` eigenvalue and the `trace` to
            `logs`, see `ProbeCallback`.

    Attributes:
        history: Dict of arrays over T measurements: `step` [T], `note` [T] (what
            cannot be relied on and why, in words), and the attributes of
            `kb.probes.Spectrum` but the Ritz values, [T], [T, k] or [T, 1024].
            Eigenvalues that were not found are NaN. Rows of the record have the same
            entries.

    Raises:
        ValueError: As for `SharpnessProbe`; steps, draws or eigenvalues are no positive
            integers.
        OSError: The record cannot be written.

    Example:
    ```python
    probe = kb.SpectrumProbe((x[:512], y[:512]), every=[0, 3000], log_dir="runs/bn")
    model.fit(x, y, batch_size=128, callbacks=[probe])
    kb.plots.spectrum(probe)
    ```
    """

    logged = ("largest", "smallest", "trace")
    needs_loss = True

    def __init__(
        self,
        data: Any,
        *,
        every: Any,
        steps: int = 80,
        draws: int = 4,
        eigenvalues: int = 5,
        seed: int = 0,
        log_dir: PathLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        loss: Loss | None = None,
        name: str = "spectrum",
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
        check_counts(steps=steps, draws=draws, eigenvalues=eigenvalues)
        self._steps = steps
        self._draws = draws
        self._eigenvalues = eigenvalues
        self._seed = seed

    def check(self, batch):
        """Checks second derivatives without measuring, see `ProbeCallback`."""
        check_model(self.model)
        check_sharpness(self.model, batch)

    def measure(self, step, batch):
        """Returns the row of the record, see `ProbeCallback`."""
        r = measure_spectrum(
            self.model,
            batch,
            self._steps,
            self._draws,
            self._eigenvalues,
            [self._seed, step],
        )
        row = {"note": r.note, **vars(r)}
        del row["ritz_values"], row["ritz_weights"]
        for name in _EIGENVALUES:
            missing = self._eigenvalues - len(row[name])
            row[name] = np.pad(row[name], (0, missing), constant_values=np.nan)
        return row

    def dashboard(self):
        """Returns the charts for TensorBoard's Custom Scalars."""
        return Dashboard(
            "Spectrum",
            [
                BandChart("Trace, and its standard error", "trace"),
                LineChart("Largest and smallest eigenvalue", "^eigenvalue/"),
            ],
        )

    def scalars(self, row):
        """Returns TensorBoard's scalars as a dict from tag to value."""
        trace, error = row["trace"], row["trace_error"]
        return {
            "trace/median": trace,
            "trace/low": trace - error,
            "trace/high": trace + error,
            "eigenvalue/largest": row["eigenvalues"][0],
            "eigenvalue/smallest": row["lowest_eigenvalues"][0],
        }

    def summary(self, row):
        """Returns what `logs` receive of a row, see `ProbeCallback`."""
        ends = {"largest": "eigenvalues", "smallest": "lowest_eigenvalues"}
        ends = {name: float(row.get(of, [np.nan])[0]) for name, of in ends.items()}
        return super().summary(row) | ends

    def histograms(self, row):
        """Returns TensorBoard's histograms as a dict: tag to (counts, edges)."""
        grid, density = row["grid"], row["density"]
        if np.isnan(density).any():
            return {}
        counts = density.reshape(_BINS, -1).sum(axis=1)
        half = (grid[1] - grid[0]) / 2  # so that points are in the middle of their bin
        edges = np.linspace(grid[0] - half, grid[-1] + half, _BINS + 1)
        return {"density": (row["size"] * counts / counts.sum(), edges)}
