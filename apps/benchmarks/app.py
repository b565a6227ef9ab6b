"""Time of a training step in a run directory over that of a bare `model.fit`.

    python -m apps.benchmarks.app --width=16

Both train the same VGG on images of CIFAR-10's shape. The bare `fit` reads float
arrays from memory; the run standardizes its batches, writes metrics, TensorBoard
events and checkpoints, and prints its progress.
"""

import contextlib
import io
import tempfile
import time

import keras
from absl import flags

from apps import program
from apps.benchmarks import workload
from apps.benchmarks.timing import medians, print_table
from apps.training.run_directory import RunDirectory
from apps.training.train import train

FLAGS = flags.FLAGS

workload.define_flags(rounds=5)

_BATCH_SIZE = 128
_EPOCH = 50  # steps between two rows of metrics
_EPOCHS = 4


class Stopwatch(keras.callbacks.Callback):
    """Times the steps after the first epoch, which includes compilation."""

    def on_train_begin(self, logs=None):
        """Resets the stopwatch."""
        self._ends = []

    def on_epoch_end(self, epoch, logs=None):
        """Records the time."""
        self._ends.append(time.perf_counter())

    def seconds(self):
        """Returns the seconds per step."""
        epochs = len(self._ends) - 1
        return (self._ends[-1] - self._ends[0]) / (epochs * _EPOCH)


def main():
    """Prints the table."""
    images, labels, batches = workload.random_images(_EPOCH * _BATCH_SIZE, _BATCH_SIZE)
    x = batches.standardize(images)
    stopwatch = Stopwatch()

    def bare_fit():
        workload.build(jit_compile=False).fit(
            x,
            labels,
            batch_size=_BATCH_SIZE,
            epochs=_EPOCHS,
            callbacks=[stopwatch],
            verbose=0,
        )
        return stopwatch.seconds()

    def run():
        with (
            tempfile.TemporaryDirectory() as workdir,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            train(
                RunDirectory(workdir, {"flags": {}}),
                lambda: workload.build(jit_compile=False),
                batches.stream,
                steps=_EPOCHS * _EPOCH,
                metrics_every=_EPOCH,
                checkpoint_every=2 * _EPOCH,
                callbacks=[stopwatch],
            )
        return stopwatch.seconds()

    seconds = medians({"bare fit": bare_fit, "train_vgg": run}, FLAGS.rounds)
    print_table(seconds, "bare fit")
    ratio = seconds["bare fit"] / seconds["train_vgg"]
    print(f"steps per second over bare fit: {ratio:.3f}")


if __name__ == "__main__":
    program.run(main)
