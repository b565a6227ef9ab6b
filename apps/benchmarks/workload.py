"""The VGG with batch normalization that most benchmarks train, and its images."""

import keras
import numpy as np
from absl import flags

from apps import data
from apps.errors import user_errors
from keras_bnsmooth import models

LEARNING_RATE = 0.1
# Those of the landscape probe, [1/2, 4] x learning rate.
STEP_SIZES = LEARNING_RATE * np.geomspace(0.5, 4.0, 8)


def define_flags(width=16, depth=11, rounds=None):
    """Defines the flags of the network and, unless None, of the number of rounds."""
    flags.DEFINE_integer("width", width, "Filters of the first block.", lower_bound=1)
    flags.DEFINE_integer("depth", depth, "Layers of the VGG: 11, 13, 16 or 19.")
    if rounds is not None:
        flags.DEFINE_integer("rounds", rounds, "Measurements of each.", lower_bound=1)


def build(jit_compile, metrics=("accuracy",)):
    """Returns the compiled network of the flags."""
    with user_errors():
        model = models.vgg(
            depth=flags.FLAGS.depth, width=flags.FLAGS.width, norm="bn", seed=0
        )
    model.compile(
        keras.optimizers.SGD(LEARNING_RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=list(metrics),
        jit_compile=jit_compile,
    )
    return model


def describe():
    """Returns a short description of the network of the flags."""
    return f"VGG-{flags.FLAGS.depth} with BN, width {flags.FLAGS.width}"


def random_images(count, batch_size):
    """Returns random images of CIFAR-10's shape, labels, and their `Batches`."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, 32, 32, 3), dtype="uint8")
    y = rng.integers(0, 10, count).astype("int32")
    return x, y, data.Batches(x, y, batch_size, seed=0, mean=128, std=64)
