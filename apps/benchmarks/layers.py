"""Times a training step of VGG-11 under each normalization, side by side.

    python -m apps.benchmarks.layers

Builds the network once per normalization and times single training steps in turn, so
that other load on the machine affects all of them alike. Prints the median time per
step and its ratio to Keras' batch normalization: the ratio of the medians, and the
median of the ratios per round, which is more robust on a busy machine. "draws" is the
time to draw the random numbers of the noise alone, which is most of the difference
between "noise" and "none", and between "noisy_bn" and "bn". Takes half a minute on two
cores with the defaults (width 16, batch 128). Processor time counts all threads.
"""

import os

# Off by default without AVX-512, where it more than halves the time nevertheless.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from apps import program
from keras_bnsmooth.layers import ActivationNoise
from keras_bnsmooth.models import NORMS, vgg

FLAGS = flags.FLAGS
REFERENCE = "bn"

flags.DEFINE_integer("rounds", 30, "Timed steps per network.", lower_bound=1)
flags.DEFINE_integer("warm_up", 3, "Untimed steps before these.", lower_bound=0)
flags.DEFINE_integer("width", 16, "Filters in the first block.", lower_bound=1)
flags.DEFINE_integer("batch_size", 128, "Images per batch.", lower_bound=1)
flags.DEFINE_list("norms", list(NORMS), f"Some of {', '.join(NORMS)}.")


def training_step(norm, width, batch):
    """Returns a function without arguments that trains a new VGG-11 for one step."""
    model = vgg(width=width, depth=11, norm=norm)
    model.compile(
        keras.optimizers.SGD(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    # Reading the loss blocks until the step ends.
    return lambda: float(model.train_function(batches)["loss"])


def noise_draws(width, batch_size):
    """Returns a function that draws the random numbers of one step with noise."""
    model = vgg(width=width, depth=11, norm="noise")
    shapes = [
        (batch_size, *layer.output.shape[1:])
        for layer in model.layers
        if isinstance(layer, ActivationNoise)
    ]
    seed = keras.random.SeedGenerator(0)
    draws = (keras.random.uniform, keras.random.normal)
    return tf.function(lambda: [draw(s, seed=seed) for s in shapes for draw in draws])


def time_in_turn(steps, rounds, warm_up):
    """Times the steps in turn.

    Args:
        steps: Dictionary of functions without arguments.
        rounds: How many times to time each of them.
        warm_up: How many times to run each of them before that.

    Returns:
        Two dictionaries of arrays of seconds: elapsed time and processor time.
    """
    elapsed = {name: [] for name in steps}
    processor = {name: [] for name in steps}
    for index in range(warm_up + rounds):
        for name, step in steps.items():
            start, processor_start = time.perf_counter(), time.process_time()
            step()
            if index >= warm_up:
                elapsed[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - processor_start)
    return (
        {name: np.array(seconds) for name, seconds in elapsed.items()},
        {name: np.array(seconds) for name, seconds in processor.items()},
    )


def main():
    """Prints the table."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(FLAGS.batch_size, 32, 32, 3)).astype("float32")
    labels = rng.integers(0, 10, FLAGS.batch_size)
    norms = dict.fromkeys([REFERENCE, *FLAGS.norms])
    steps = {norm: training_step(norm, FLAGS.width, (images, labels)) for norm in norms}
    steps["draws"] = noise_draws(FLAGS.width, FLAGS.batch_size)
    elapsed, processor = time_in_turn(steps, FLAGS.rounds, FLAGS.warm_up)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'norm':10}{'ms/step':>10}{'ratio':>8}{'paired':>8}{'CPU ratio':>11}")
    for name in steps:
        ratio = np.median(elapsed[name]) / np.median(elapsed[REFERENCE])
        paired = np.median(elapsed[name] / elapsed[REFERENCE])
        of_processor = np.median(processor[name]) / np.median(processor[REFERENCE])
        print(
            f"{name:10}{1e3 * np.median(elapsed[name]):10.1f}"
            f"{ratio:8.2f}{paired:8.2f}{of_processor:11.2f}"
        )


if __name__ == "__main__":
    program.run(main)
