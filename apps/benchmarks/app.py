"""Time of a training step in a run directory over that of a bare `model.fit`.

    python -m apps.benchmarks.app --width=16

Both train the same VGG on images of CIFAR-10's shape. The bare `fit` reads float
arrays in memory; the run standardizes its batches, writes metrics, TensorBoard
events and checkpoints, and shows its progress.
"""

import contextlib
import io
import tempfile
import time

import keras
import numpy as np
from absl import flags

from apps import data, program
from apps.benchmarks.rounds import medians, print_table
from apps.training.run_directory import RunDirectory
from apps.training.train import train
from keras_bnsmooth import models

FLAGS = flags.FLAGS

flags.DEFINE_integer("width", 16, "Filters of the first block.", lower_bound=1)
flags.DEFINE_integer("rounds", 5, "Measurements of each.", lower_bound=1)

_BATCH_SIZE = 128
_EPOCH = 50  # steps between two rows of metrics
_EPOCHS = 4


class Stopwatch(keras.callbacks.Callback):
    """Seconds a step from the end of the first epoch, when all is compiled."""

    def on_train_begin(self, logs=None):
        """Starts anew."""
        self._ends = []

    def on_epoch_end(self, epoch, logs=None):
        """Takes the time."""
        self._ends.append(time.perf_counter())

    def seconds(self):
        """Seconds a step."""
        epochs = len(self._ends) - 1
        return (self._ends[-1] - self._ends[0]) / (epochs * _EPOCH)


def build():
    """Returns the compiled network."""
    model = models.vgg(depth=11, width=FLAGS.width, norm="bn", seed=0)
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def main():
    """Prints the table."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_EPOCH * _BATCH_SIZE, 32, 32, 3), dtype="uint8")
    labels = rng.integers(0, 10, len(images))
    batches = data.Batches(images, labels, _BATCH_SIZE, seed=0, mean=128, std=64)
    x = batches.standardize(images)
    stopwatch = Stopwatch()

    def bare_fit():
        build().fit(
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
                build,
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
