"""Overhead of a probe with a budget of time, over training without it.

    python -m apps.benchmarks.budget [VGG-11] [ResNet50V2]

Trains a network for 300 steps on random images of 32 x 32 pixels, with a landscape
probe that may take 2 % of the time, and prints what it took: by the clock of the probe,
and by that of training, with the same steps without it in between.
"""

import time

import keras
import numpy as np
from absl import flags

from apps import program
from apps.errors import UserError
from keras_bnsmooth import models
from keras_bnsmooth.callbacks import LandscapeProbe

FLAGS = flags.FLAGS

flags.DEFINE_integer("steps", 300, "Training steps.", lower_bound=10)
flags.DEFINE_float("budget", 0.02, "Share of the training time.", lower_bound=0.0)
flags.DEFINE_integer("batch_size", 32, "Images of a training step.", lower_bound=8)
flags.DEFINE_integer("probe_size", 8, "Images of a measurement.", lower_bound=2)

_CLASSES = 10
_SHAPE = (32, 32, 3)
_STEP_SIZES = [0.005, 0.01, 0.02]


def vgg():
    """Returns a VGG-11 with batch normalization."""
    return models.vgg(depth=11, width=16, norm="bn", seed=0)


def resnet():
    """Returns a ResNet50V2."""
    return keras.applications.ResNet50V2(
        weights=None,
        input_shape=_SHAPE,
        classes=_CLASSES,
        classifier_activation=None,
    )


NETWORKS = {"VGG-11": vgg, "ResNet50V2": resnet}


class Steps(keras.callbacks.Callback):
    """Seconds of each training step, from its begin to that of the next."""

    def on_train_begin(self, logs=None):
        """Forgets the steps of an earlier training."""
        self.times = []

    def on_train_batch_begin(self, batch, logs=None):
        """Remembers the time."""
        self.times.append(time.perf_counter())

    def on_train_end(self, logs=None):
        """Remembers the end of the last step."""
        self.times.append(time.perf_counter())

    def seconds(self):
        """Returns the seconds of each step, as an array."""
        return np.diff(self.times)


def measure(name):
    """Prints the row of a network."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.random((FLAGS.steps * FLAGS.batch_size, *_SHAPE), "float32")
    y = rng.integers(0, _CLASSES, len(x))
    model = NETWORKS[name]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss)
    options = {"batch_size": FLAGS.batch_size, "verbose": 0}
    warm_up = 2 * FLAGS.batch_size
    model.fit(x[:warm_up], y[:warm_up], **options)
    batch = x[: FLAGS.probe_size], y[: FLAGS.probe_size]
    probe = LandscapeProbe(batch, every=1, step_sizes=_STEP_SIZES, budget=FLAGS.budget)
    steps = Steps()
    # The clock comes first, so that a step includes the probe at its beginning.
    model.fit(x, y, callbacks=[steps, probe], **options)
    seconds = steps.seconds()
    measured = np.isin(np.arange(len(seconds)) + 2, probe.history["step"])
    typical = np.median(seconds[~measured])
    extra = (seconds[measured] - typical).sum() / seconds[~measured].sum()
    print(
        f"{name:11} {typical * 1e3:6.0f} ms/step, {measured.sum()} measurements of "
        f"{1e3 * np.median(seconds[measured] - typical):.0f} ms; overhead "
        f"{probe.overhead:.2%} by the probe, {extra:.2%} by the steps that it ran in",
        flush=True,
    )


def main(names):
    """Prints the table."""
    if unknown := set(names) - set(NETWORKS):
        raise UserError(
            f"no network {', '.join(unknown)}; there are {', '.join(NETWORKS)}."
        )
    for name in names or NETWORKS:
        measure(name)


if __name__ == "__main__":
    program.run(main, accepts_paths=True)
