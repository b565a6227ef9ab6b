"""Cost of probing batches of 40 lengths, over 40 batches of one length.

    python -m apps.benchmarks.lengths
    KERAS_BACKEND=jax python -m apps.benchmarks.lengths

A small convolutional network on sequences, built as a Sequential and as a subclassed
model. Times include compilation, so that every measurement is of a new model.
"""

import statistics

import keras
import numpy as np
from absl import flags
from keras import layers

from apps import program
from apps.benchmarks.timing import time_call
from keras_bnsmooth import probes

FLAGS = flags.FLAGS

flags.DEFINE_integer("rounds", 3, "Measurements of each.", lower_bound=1)

_CHANNELS, _CLASSES, _BATCH_SIZE = 2, 3, 8
_LENGTHS = range(20, 60)


def parts():
    """Returns the layers of the network."""
    return [
        layers.Conv1D(4, 3, padding="same", activation="softplus"),
        layers.BatchNormalization(),
        layers.MaxPooling1D(2),
        layers.GlobalAveragePooling1D(),
        layers.Dense(_CLASSES),
    ]


class Subclassed(keras.Model):
    """The network as a subclass, whose layers TensorFlow traces one by one."""

    def __init__(self):
        super().__init__()
        self.parts = parts()

    def call(self, x):
        """Returns the logits."""
        for part in self.parts:
            x = part(x)
        return x


def sequential():
    """Returns the network as a Sequential."""
    return keras.Sequential([keras.Input((None, _CHANNELS)), *parts()])


def batches(lengths):
    """Returns one batch (x, y) of each length."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, _CLASSES, _BATCH_SIZE)
    return [(rng.normal(size=(_BATCH_SIZE, n, _CHANNELS)), labels) for n in lengths]


PROBES = {
    "landscape": lambda model, x, y: probes.landscape(model, x, y, [0.05, 0.1, 0.2]),
    "covariate shift": lambda model, x, y: probes.internal_covariate_shift(
        model, x, y, 0.1
    ),
    "sharpness": probes.sharpness,
}


def seconds(build, measure, lengths):
    """Returns how long a new model takes for all batches, compilation included."""
    keras.utils.set_random_seed(0)
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    data = batches(lengths)
    return time_call(lambda: [measure(model, x, y) for x, y in data])


def main():
    """Prints the table."""
    print(f"{keras.backend.backend()}: one length, {len(_LENGTHS)} lengths, ratio")
    for kind, build in (("Sequential", sequential), ("subclassed", Subclassed)):
        for name, measure in PROBES.items():
            one, many = (
                statistics.median(
                    seconds(build, measure, lengths) for _ in range(FLAGS.rounds)
                )
                for lengths in ([_LENGTHS[0]] * len(_LENGTHS), _LENGTHS)
            )
            print(
                f"  {kind} {name:16} {one:6.2f} s {many:6.2f} s {many / one:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    program.run(main)
