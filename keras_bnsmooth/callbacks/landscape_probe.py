"""Loss landscape, gradient predictiveness and beta-smoothness during training."""

import numpy as np

from keras_bnsmooth.callbacks import layouts
from keras_bnsmooth.callbacks.probe_callback import ProbeCallback
from keras_bnsmooth.probes.arguments import check_model
from keras_bnsmooth.probes.determinism import check_landscape
from keras_bnsmooth.probes.directions import check_direction, draw
from keras_bnsmooth.probes.landscape import check_step_sizes, measure

# [1/2, 4] x learning rate, as for the VGG of the paper (appendix A.2.2).
_MULTIPLES = tuple(np.geomspace(0.5, 4.0, 8))
# What the charts call them.
_DIRECTIONS = {
    "gradient": "the gradient",
    "random": "a random direction",
    "filter_normalized_random": "a filter-normalized random direction",
}


class LandscapeProbe(ProbeCallback):
    """Measures `probes.landscape` at scheduled steps of `model.fit`.

    Args:
        data: What to measure on: one batch (x, y) or (x, y, sample_weight), a
            function from the step to a batch, a `keras.utils.PyDataset`, or a
            `tf.data.Dataset` other than the one that training iterates; see
            `batch_source`.
        every: When: N for every N steps, a list of steps, or a schedule such as
            `LogSpaced()`.
        step_sizes: Step sizes along the direction, K positive numbers; None takes
            `multiples` of the optimizer's learning rate at each step.
        log_dir: Run directory for the record, or None. There, `landscape.jsonl` gets
            one line a probe, and `landscape/` TensorBoard's curves: in Scalars loss,
            gradient norm and beta, in Custom Scalars the bands.
        multiples: Step sizes in multiples of the learning rate, K positive numbers.
        direction: `"gradient"`, `"random"` or `"filter_normalized_random"`, see
            `probes.landscape`. A random direction is drawn anew at every probe.
        seed: Integer that decides random directions.
        class_weight: Dict from class to weight, as in `model.fit`, or None.
        name: Of the record, if a run has several.

    Attributes:
        history: Dict of arrays over the T probes: `step` [T], `learning_rate` [T],
            `loss` [T], `gradient_norm` [T], `beta` [T], `step_sizes` [T, K],
            `losses` [T, K], `gradient_distances` [T, K] and `resolved` [T, K], as in
            `probes.Landscape`. A row of the record has the same entries.

    Raises:
        ValueError: An argument is not as described; when training begins: the model
            has nothing to probe, the batch does not fit it, its loss is not the same
            twice, or the record of another run is in the way.
        OSError: The record cannot be written.

    Example:
    ```python
    probe = LandscapeProbe((x[:128], y[:128]), every=50, log_dir="runs/bn")
    model.fit(x, y, batch_size=128, callbacks=[probe])
    low, high = probe.history["losses"].min(axis=1), probe.history["losses"].max(axis=1)
    plt.fill_between(probe.history["step"], low, high)
    ```
    """

    def __init__(
        self,
        data,
        *,
        every,
        step_sizes=None,
        log_dir=None,
        multiples=_MULTIPLES,
        direction="gradient",
        seed=0,
        class_weight=None,
        name="landscape",
    ):
        super().__init__(
            data, every=every, log_dir=log_dir, name=name, class_weight=class_weight
        )
        self._step_sizes = None if step_sizes is None else check_step_sizes(step_sizes)
        self._multiples = check_step_sizes(multiples, "multiples")
        self._direction = check_direction(direction)
        self._seed = seed

    def check(self, batch):
        """Tries a measurement, see `ProbeCallback`."""
        check_model(self.model)
        count = len(self._present_step_sizes())
        check_landscape(self.model, batch, count, self._draw(step=0))

    def measure(self, step, batch):
        """Returns the row of the record, see `ProbeCallback`."""
        step_sizes = self._present_step_sizes()
        r = measure(self.model, batch, step_sizes, self._draw(step))
        return {
            "learning_rate": self.learning_rate(),
            "loss": r.loss,
            "gradient_norm": r.gradient_norm,
            "beta": r.beta,
            "step_sizes": r.step_sizes,
            "losses": r.losses,
            "gradient_distances": r.gradient_distances,
            "resolved": r.resolved,
        }

    def layout(self):
        """Returns the dashboard of Custom Scalars."""
        along = f"along {_DIRECTIONS[self._direction]}"
        return layouts.dashboard(
            f"Loss landscape {along}",
            [
                layouts.band(f"Loss {along}", "loss_band"),
                layouts.band("Change of the gradient", "gradient_band"),
                layouts.lines("Effective beta-smoothness", "^beta$"),
            ],
        )

    def scalars(self, row):
        """Returns the points of the curves, from tag to value."""
        resolved = np.asarray(row["resolved"])
        distances = np.asarray(row["gradient_distances"])
        return {
            "loss": row["loss"],
            "gradient_norm": row["gradient_norm"],
            "beta": row["beta"],
            **_band("loss_band", np.asarray(row["losses"])),
            **_band("gradient_band", distances[resolved]),
        }

    def _draw(self, step):
        seed = [self._seed, step]
        return draw(self._direction, self.model.trainable_variables, seed)

    def _present_step_sizes(self):
        if self._step_sizes is not None:
            return self._step_sizes
        # Zero at the start of a warm-up, where the landscape is a point.
        return self._multiples * self.learning_rate()


def _band(tag, values):
    """Points of the curves that `layouts.band` draws."""
    if not values.size:
        values = np.array([np.nan])
    return {
        f"{tag}/low": values.min(),
        f"{tag}/median": np.median(values),
        f"{tag}/high": values.max(),
    }
