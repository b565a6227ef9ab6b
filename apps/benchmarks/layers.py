"""Time of a training step of VGG-11 under each normalization, side by side.

    python -m apps.benchmarks.layers

Builds the network once per normalization and times single training steps in turn, so
that whatever else the machine does falls on all of them alike. Prints the median time
and the ratio to Keras' batch normalization: of the medians, and the median of the
ratios round by round, which a busy machine disturbs less. Half a minute on two cores
with the defaults (width 16, batch 128); the processor time counts all threads.
"""

import os

# Off by default where the processor has no AVX-512; more than twice as fast with it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from apps import program
from keras_bnsmooth.models import NORMS, vgg

FLAGS = flags.FLAGS
REFERENCE = "bn"

flags.DEFINE_integer("rounds", 30, "Timed steps of each network.", lower_bound=1)
flags.DEFINE_integer("warm_up", 3, "Steps of each network before these.", lower_bound=0)
flags.DEFINE_integer("width", 16, "Filters of the first block.", lower_bound=1)
flags.DEFINE_integer("batch_size", 128, "Images in a batch.", lower_bound=1)
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
    # Reading the loss waits for the step to end.
    return lambda: float(model.train_function(batches)["loss"])


def measure(steps, rounds, warm_up):
    """Runs the steps in turn.

    Args:
        steps: Dictionary of functions without arguments.
        rounds: How often each is timed.
        warm_up: How often each runs before that.

    Returns:
        Two dictionaries of arrays of seconds: elapsed, and of the processor.
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
    elapsed, processor = measure(steps, FLAGS.rounds, FLAGS.warm_up)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'norm':10}{'ms a step':>10}{'ratio':>8}{'paired':>8}{'CPU ratio':>11}")
    for norm in steps:
        ratio = np.median(elapsed[norm]) / np.median(elapsed[REFERENCE])
        paired = np.median(elapsed[norm] / elapsed[REFERENCE])
        of_processor = np.median(processor[norm]) / np.median(processor[REFERENCE])
        print(
            f"{norm:10}{1e3 * np.median(elapsed[norm]):10.1f}"
            f"{ratio:8.2f}{paired:8.2f}{of_processor:11.2f}"
        )


if __name__ == "__main__":
    program.run(main)
