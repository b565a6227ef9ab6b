"""Noise of the gradient during training."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_bnsmooth.autodiff import Loss
from keras_bnsmooth.callbacks.batch_source import batch_source
from keras_bnsmooth.callbacks.probe_callback import ProbeCallback
from keras_bnsmooth.probes.gradient_noise import (
    check_gradient_noise,
    measure_gradient_noise,
)
from keras_bnsmooth.records.dashboard import Dashboard, LineChart
from keras_bnsmooth.records.json_lines import PathLike

_TOTALS = ("signal", "variance", "noise_scale", "cosine", "batch_size")
_PER_LAYER = ("noise_scale", "cosine")


class GradientNoiseProbe(ProbeCallback):
    """Records `kb.probes.gradient_noise` at scheduled steps of `model.fit`.

    TensorBoard shows signal, variance, noise scale and cosine under *Time Series* and,
    under *Custom Scalars*, the noise scale with the batch size, and noise scale and
    cosine of all layers.

    With batch normalization the numbers depend on the batch size, see
    `kb.probes.GradientNoise`: give the probe batches of the size of those of training.

    Args:
        data: What to measure on. One batch (x, y) or (x, y, sample_weight) is split
            into `batches` of one size, the same at every step. Of anything else, it
            takes that many successive batches: a function is called with the step and
            the steps that follow; a `keras.utils.PyDataset` gives the batches from the
            step on; a `tf.data.Dataset`, other than the one that training iterates,
            its next ones.
        every: When to measure: N for every N steps, a list of steps, or a schedule
            such as `LogSpaced()`.
        batches: Number of batches per measurement, two or more. Each costs a gradient.
        log_dir: Directory for `gradient_noise.jsonl` and TensorBoard events, or None.
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
        logs: Whether to add `noise_scale`, `signal`, `variance` and `cosine`, of all
            weights together, to `logs`, see `ProbeCallback`.

    Attributes:
        history: Dict of arrays over T measurements: `step` [T], `note` [T] (what
            cannot be relied on and why, in words), and the attributes of
            `kb.probes.GradientNoise`, [T] or [T, L]. Rows of the record have the same
            entries.

    Raises:
        ValueError: As for `LandscapeProbe`; fewer than two batches, or the batch cannot
            be split into that many of one size.
        OSError: The record cannot be written.

    Example:
    ```python
    data = x[:1024], y[:1024]
    probe = kb.GradientNoiseProbe(data, every=100, batches=8, log_dir="runs/bn")
    model.fit(x, y, batch_size=128, callbacks=[probe])
    kb.plots.gradient_noise(probe)
    ```
    """

    logged = ("noise_scale", "signal", "variance", "cosine")
    needs_loss = True

    def __init__(
        self,
        data: Any,
        *,
        every: Any,
        batches: int = 8,
        log_dir: PathLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        loss: Loss | None = None,
        name: str = "gradient_noise",
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
        if not isinstance(batches, (int, np.integer)) or batches < 2:
            raise ValueError(
                f"batches must be an integer of 2 or more; received {batches!r}."
            )
        self._batches = int(batches)
        self._source = batch_source(data, class_weight, parts=self._batches)

    def check(self, batch):
        """Runs a trial measurement on the first batch, see `ProbeCallback`."""
        check_gradient_noise(self.model, batch)

    def measure(self, step, batch):
        """Returns the row of the record, see `ProbeCallback`."""
        others = map(self.take, range(step + 1, step + self._batches))
        r = measure_gradient_noise(self.model, itertools.chain([batch], others))
        return {"note": r.note, **vars(r)}

    def dashboard(self):
        """Returns the charts for TensorBoard's Custom Scalars."""
        return Dashboard(
            "Gradient noise",
            [
                LineChart("Noise scale, and batch size", "^(noise_scale|batch_size)$"),
                LineChart("Noise scale of layers", "^noise_scale/"),
                LineChart("Cosine between gradients of batches", "^cosine"),
            ],
        )

    def scalars(self, row):
        """Returns TensorBoard's scalars as a dict from tag to value."""
        layers = {
            f"{name}/{layer}": value
            for name in _PER_LAYER
            for layer, value in zip(row["layers"], row[f"layer_{name}"], strict=True)
        }
        return {name: row[name] for name in _TOTALS} | layers
