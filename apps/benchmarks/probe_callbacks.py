"""Training time with probes over training time without them.

    python -m apps.benchmarks.probe_callbacks

A VGG with batch normalization on images of CIFAR-10's shape, each probe every 1, 4,
16, 64 and 256 steps. What comes once in a training, compiling and the trial
measurement at its start, is not counted.
"""

import time

import keras
import numpy as np
from absl import flags

from apps import program
from apps.benchmarks.rounds import medians
from keras_bnsmooth import models
from keras_bnsmooth.callbacks import ActivationProbe, ICSProbe, LandscapeProbe

FLAGS = flags.FLAGS

flags.DEFINE_integer("width", 16, "Filters of the first block.", lower_bound=1)
flags.DEFINE_integer("depth", 11, "Layers of the VGG: 11, 13, 16 or 19.")
flags.DEFINE_integer("rounds", 3, "Measurements of each.", lower_bound=1)

_BATCH_SIZE = 128
_EVERY = (1, 4, 16, 64, 256)
_PROBES = (LandscapeProbe, ICSProbe, ActivationProbe)
# Time with Cockpit's "economy" instruments over time without, 3c3d on CIFAR-10, CPU
# (Schneider et al., "Cockpit: A Practical Debugging Tool for the Training of Deep
# Neural Networks", 2021).
_COCKPIT = (5.7, 2.4, 1.34, 1.08, 1.02)


class Clock(keras.callbacks.Callback):
    """Seconds from the first batch of a `fit` to its end."""

    def on_train_begin(self, logs=None):
        """Waits for the first batch."""
        self._start = None

    def on_train_batch_begin(self, batch, logs=None):
        """Starts at the first batch."""
        if self._start is None:
            self._start = time.perf_counter()

    def on_train_end(self, logs=None):
        """Stops."""
        self.seconds = time.perf_counter() - self._start


def training(probe=None, every=1):
    """Returns a measurement: seconds a step of training with a probe, or with none."""
    rng = np.random.default_rng(0)
    # One cycle of the schedule, and enough steps for the rest to be steady.
    steps = max(every, 4)
    x = rng.normal(size=(steps * _BATCH_SIZE, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, len(x))
    model = models.vgg(depth=FLAGS.depth, width=FLAGS.width, norm="bn", seed=0)
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    clock = Clock()
    # The clock comes first, so that it counts the probe of the first step.
    callbacks = [clock]
    if probe is not None:
        callbacks.append(probe((x[:_BATCH_SIZE], y[:_BATCH_SIZE]), every=every))

    def measure():
        model.fit(x, y, batch_size=_BATCH_SIZE, callbacks=callbacks, verbose=0)
        return clock.seconds / steps

    return measure


def main():
    """Prints the table."""
    print(f"{'every':18}" + "".join(f"{every:8}" for every in _EVERY))
    for probe in _PROBES:
        ratios = []
        for every in _EVERY:
            seconds = medians(
                {"none": training(every=every), "probe": training(probe, every)},
                FLAGS.rounds,
            )
            ratios.append(seconds["probe"] / seconds["none"])
        print_row(probe.__name__, ratios)
    print_row("Cockpit, CPU", _COCKPIT)


def print_row(name, ratios):
    """Prints a row of the table."""
    print(f"{name:18}" + "".join(f"{ratio:8.2f}" for ratio in ratios), flush=True)


if __name__ == "__main__":
    program.run(main)
