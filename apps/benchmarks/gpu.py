"""Training with and without compilation, and how busy it and probing keep a GPU.

    python -m apps.benchmarks.gpu
    KERAS_BACKEND=torch python -m apps.benchmarks.gpu --compile=off

The full-width VGG with batch normalization on images of CIFAR-10's shape, from the
batches that `train_vgg` uses. `python -m apps.benchmarks.probes --width=64` tells what
the probes cost in evaluations of loss and gradient. The GPU's own share of the time is
read off `nvidia-smi`, where that is installed.
"""

import itertools
import time

import keras
import numpy as np
from absl import flags

from apps import data, program
from apps.benchmarks.gpu_utilization import gpu_utilization
from apps.training.environment import describe
from keras_bnsmooth import models, probes

FLAGS = flags.FLAGS

flags.DEFINE_integer("width", 64, "Filters of the first block.", lower_bound=1)
flags.DEFINE_integer("depth", 16, "Layers of the VGG: 11, 13, 16 or 19.")
flags.DEFINE_integer("batch_size", 128, "Images in a batch.", lower_bound=1)
flags.DEFINE_integer("steps", 500, "Steps of each measurement.", lower_bound=1)
flags.DEFINE_integer("landscapes", 30, "Landscapes of a measurement.", lower_bound=1)
flags.DEFINE_list(
    "compile",
    "on,off",
    "Whether the training step is compiled: by XLA, jax.jit or torch.compile.",
)

_LEARNING_RATE = 0.1
_STEP_SIZES = _LEARNING_RATE * np.geomspace(0.5, 4.0, 8)


def build(jit_compile):
    """Returns the compiled network."""
    model = models.vgg(depth=FLAGS.depth, width=FLAGS.width, norm="bn", seed=0)
    model.compile(
        keras.optimizers.SGD(_LEARNING_RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return model


def images():
    """Returns the batches of a data set of CIFAR-10's shape."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (50 * FLAGS.batch_size, 32, 32, 3), dtype="uint8")
    y = rng.integers(0, 10, len(x)).astype("int32")
    return data.Batches(x, y, FLAGS.batch_size, seed=0, mean=128, std=64)


def measure(what, unit, count, function):
    """Prints the rate at which `function(count)` runs, after a first few."""
    function(2)
    with gpu_utilization() as utilization:
        start = time.perf_counter()
        function(count)
        seconds = time.perf_counter() - start
    print(f"{what:24} {count / seconds:8.2f} {unit}/s  GPU {utilization}", flush=True)


def main():
    """Prints a line for each measurement."""
    unknown = set(FLAGS.compile) - {"on", "off"}
    if unknown:
        raise ValueError(f"--compile is on, off or both; received {unknown.pop()}.")
    batches = images()
    made_with = describe()
    print(f"{made_with['device']}, Keras {keras.__version__} on {made_with['backend']}")
    print(f"VGG-{FLAGS.depth} with BN, width {FLAGS.width}, batch {FLAGS.batch_size}")
    for choice in FLAGS.compile:
        model = build(choice == "on")

        def train(steps, model=model):
            # A generator, as in `train_vgg`. The end of `fit` waits for the last step.
            stream = (batch for batch in itertools.islice(batches.stream(), steps + 2))
            model.fit(stream, steps_per_epoch=steps, shuffle=False, verbose=0)

        def probe(landscapes, model=model):
            for step in range(landscapes):
                probes.landscape(model, *batches(step), _STEP_SIZES)

        measure(f"training, compile {choice}", "steps", FLAGS.steps, train)
        measure(f"landscape, compile {choice}", "probes", FLAGS.landscapes, probe)


if __name__ == "__main__":
    program.run(main)
