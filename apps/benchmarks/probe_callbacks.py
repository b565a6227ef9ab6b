"""Training time with probes over training time without them.

    python -m apps.benchmarks.probe_callbacks

A VGG with batch normalization on images of CIFAR-10's shape, with each probe every 1,
4, 16, 64 and 256 steps. One-off costs, compilation and the trial measurement at the
start, are not counted.
"""

import time

import keras
from absl import flags

from apps import program
from apps.benchmarks import workload
from apps.benchmarks.timing import medians
from keras_bnsmooth.callbacks import ActivationProbe, ICSProbe, LandscapeProbe

FLAGS = flags.FLAGS

workload.define_flags(rounds=3)

_BATCH_SIZE = 128
_EVERY = (1, 4, 16, 64, 256)
_PROBES = (LandscapeProbe, ICSProbe, ActivationProbe)
# Time with Cockpit's "economy" instruments over time without, 3c3d on CIFAR-10, CPU
# (Schneider et al., "Cockpit: A Practical Debugging Tool for the Training of Deep
# Neural Networks", 2021).
_COCKPIT = (5.7, 2.4, 1.34, 1.08, 1.02)


class Clock(keras.callbacks.Callback):
    """Seconds from the first batch of `fit` to its end."""

    def on_train_begin(self, logs=None):
        """Resets the clock."""
        self._start = None

    def on_train_batch_begin(self, batch, logs=None):
        """Starts the clock at the first batch."""
        if self._start is None:
            self._start = time.perf_counter()

    def on_train_end(self, logs=None):
        """Stops the clock."""
        self.seconds = time.perf_counter() - self._start


def training(probe=None, every=1):
    """Returns a function that times a training step, optionally with a probe."""
    # One cycle of the schedule, with enough steps to settle.
    steps = max(every, 4)
    images, y, batches = workload.random_images(steps * _BATCH_SIZE, _BATCH_SIZE)
    x = batches.standardize(images)
    model = workload.build(jit_compile=False)
    clock = Clock()
    # The clock comes first, so that it counts the probe of the first step.
    callbacks = [clock]
    if probe is not None:
        callbacks.append(probe((x[:_BATCH_SIZE], y[:_BATCH_SIZE]), every=every))

    def time_step():
        model.fit(x, y, batch_size=_BATCH_SIZE, callbacks=callbacks, verbose=0)
        return clock.seconds / steps

    return time_step


def main():
    """Prints the table."""
    _print_row("every", _EVERY, "8")
    for probe in _PROBES:
        ratios = []
        for every in _EVERY:
            seconds = medians(
                {"none": training(every=every), "probe": training(probe, every)},
                FLAGS.rounds,
            )
            ratios.append(seconds["probe"] / seconds["none"])
        _print_row(probe.__name__, ratios)
    _print_row("Cockpit, CPU", _COCKPIT)


def _print_row(name, values, spec="8.2f"):
    print(f"{name:18}" + "".join(f"{value:{spec}}" for value in values), flush=True)


if __name__ == "__main__":
    program.run(main)
