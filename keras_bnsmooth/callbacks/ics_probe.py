"""Internal covariate shift during training."""

import keras
import numpy as np

from keras_bnsmooth.callbacks import layouts
from keras_bnsmooth.callbacks.probe_callback import ProbeCallback
from keras_bnsmooth.probes.arguments import check_model
from keras_bnsmooth.probes.determinism import check_internal_covariate_shift
from keras_bnsmooth.probes.internal_covariate_shift import as_weights, measure

_UPDATES = ("gradient_descent", "training")


class ICSProbe(ProbeCallback):
    """Measures `probes.internal_covariate_shift` at scheduled steps of `model.fit`.

    Args:
        data: What to measure on: one batch (x, y) or (x, y, sample_weight), a
            function from the step to a batch, a `keras.utils.PyDataset`, or a
            `tf.data.Dataset` other than the one that training iterates; see
            `batch_source`.
        every: When: N for every N steps, a list of steps, or a schedule such as
            `LogSpaced()`.
        log_dir: Run directory for the record, or None. There, `ics.jsonl` gets one
            line a probe, and `ics/` TensorBoard's curves, two for each layer.
        update: What moves the weights from W(t) to W(t+1): `"gradient_descent"`, the
            step W - lr g on the probe's batch with the optimizer's learning rate at
            t, which is the paper's definition; or `"training"`, the update that the
            optimizer really made at step t, with its own batch and momentum. The
            latter is measured after the update, keeps a copy of the weights until
            then, and needs `steps_per_execution=1`.
        class_weight: Dict from class to weight, as in `model.fit`, or None.
        name: Of the record, if a run has several.

    Attributes:
        history: Dict of arrays over the T probes: `step` [T], `learning_rate` [T],
            `layers` [T, L], `l2` [T, L] and `cosine` [T, L], as in
            `probes.InternalCovariateShift`. A row of the record has the same entries.

    Raises:
        ValueError: As for `LandscapeProbe`, and where `update="training"` meets
            `steps_per_execution` over 1.
        OSError: The record cannot be written.

    Example:
    ```python
    probe = ICSProbe((x[:128], y[:128]), every=200, log_dir="runs/bn")
    model.fit(x, y, batch_size=128, callbacks=[probe])
    plt.plot(probe.history["step"], probe.history["cosine"][:, 3])
    ```
    """

    def __init__(
        self,
        data,
        *,
        every,
        log_dir=None,
        update="gradient_descent",
        class_weight=None,
        name="ics",
    ):
        super().__init__(
            data, every=every, log_dir=log_dir, name=name, class_weight=class_weight
        )
        if update not in _UPDATES:
            raise ValueError(
                f"update must be one of {', '.join(map(repr, _UPDATES))}; "
                f"received {update!r}."
            )
        self._update = update
        self._waiting = None

    def check(self, batch):
        """Tries a measurement, see `ProbeCallback`."""
        check_model(self.model)
        if self._update == "training" and self.model.steps_per_execution > 1:
            raise ValueError(
                "update='training' needs steps_per_execution=1, to see the weights "
                f"after a single step; received {self.model.steps_per_execution}."
            )
        if self._update == "training":
            here = as_weights(self.model, self.model.trainable_variables)
            step = {"weights": here, "next_weights": here}
        else:
            step = {"learning_rate": 0.0}
        check_internal_covariate_shift(self.model, batch, **step)

    def on_train_batch_begin(self, batch, logs=None):
        """Measures if a scheduled step has come."""
        self._measure_waiting()
        super().on_train_batch_begin(batch, logs)

    def on_train_end(self, logs=None):
        """Closes the record."""
        self._measure_waiting()
        super().on_train_end(logs)

    def measure(self, step, batch):
        """Returns the row of the record, see `ProbeCallback`."""
        learning_rate = self.learning_rate()
        return _row(measure(self.model, batch, learning_rate), learning_rate)

    def probe(self, step):
        """Measures, or for the update of training copies what it changes."""
        if self._update == "gradient_descent":
            super().probe(step)
        else:
            weights = [
                np.array(keras.ops.convert_to_numpy(v.value))
                for v in self.model.trainable_variables
            ]
            self._waiting = (step, self.take(step), weights, self.learning_rate())

    def _measure_waiting(self):
        """Measures the update of the step at which the weights were copied."""
        if self._waiting is None or self.step() == self._waiting[0]:
            return
        (step, batch, weights, learning_rate), self._waiting = self._waiting, None
        r = measure(
            self.model,
            batch,
            weights=as_weights(self.model, weights),
            next_weights=as_weights(self.model, self.model.trainable_variables),
        )
        self.write({"step": step, **_row(r, learning_rate)})

    def layout(self):
        """Returns the dashboard of Custom Scalars."""
        return layouts.dashboard(
            "Internal covariate shift",
            [
                layouts.lines("l2 difference of gradients", "^l2/"),
                layouts.lines("Cosine of gradients", "^cosine/"),
            ],
        )

    def scalars(self, row):
        """Returns the points of the curves, from tag to value."""
        return {
            f"{quantity}/{layer}": value
            for quantity in ("l2", "cosine")
            for layer, value in zip(row["layers"], row[quantity], strict=True)
        }


def _row(r, learning_rate):
    return {
        "learning_rate": learning_rate,
        "layers": r.layers,
        "l2": r.l2,
        "cosine": r.cosine,
    }
