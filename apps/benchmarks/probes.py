"""Cost of the probes, in evaluations of loss and gradient and in memory.

    python -m apps.benchmarks.probes
    KERAS_BACKEND=jax python -m apps.benchmarks.probes

Time: a VGG with batch normalization on a batch of CIFAR-10's shape, each probe in
turn with evaluations of the same loss and gradient, compiled likewise. Memory: the
peak of a process that trains a large network, with and without a landscape probe.
"""

import subprocess
import sys
import time

import keras
import numpy as np
from absl import flags

from apps import program
from apps.benchmarks.rounds import medians
from keras_bnsmooth import autodiff, models, probes

FLAGS = flags.FLAGS

flags.DEFINE_integer("width", 16, "Filters of the first block.", lower_bound=1)
flags.DEFINE_integer("depth", 11, "Layers of the VGG: 11, 13, 16 or 19.")
flags.DEFINE_bool(
    "jit",
    keras.backend.backend() == "jax",
    "Compile the model with jit_compile: XLA, which JAX is nothing without.",
)
flags.DEFINE_integer("rounds", 15, "Measurements of each.", lower_bound=1)

_BATCH_SIZE = 128
_LEARNING_RATE = 0.1
_STEP_SIZES = _LEARNING_RATE * np.geomspace(0.5, 4.0, 8)
_GRADIENTS = 5  # evaluations in one measurement


def build():
    """Returns the compiled network."""
    model = models.vgg(depth=FLAGS.depth, width=FLAGS.width, norm="bn", seed=0)
    model.compile(
        keras.optimizers.SGD(_LEARNING_RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=FLAGS.jit,
    )
    return model


def seconds(function):
    """Returns a measurement: the seconds that a call of `function` takes."""

    def measure():
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return measure


def time_probes():
    """Prints what the probes cost in evaluations of loss and gradient."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(_BATCH_SIZE, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, _BATCH_SIZE)
    model = build()
    value_and_grad = autodiff.compiled(model, autodiff.value_and_grad)
    batch = [keras.ops.convert_to_tensor(part) for part in (x, y)]

    def gradients():
        for _ in range(_GRADIENTS):
            _, gradient = value_and_grad(*batch)
            # Devices compute while Python goes on: wait for the gradient of the first
            # layer, which is the last to be computed.
            keras.ops.convert_to_numpy(gradient[0])

    def landscape():
        probes.landscape(model, x, y, _STEP_SIZES)

    def shift():
        probes.internal_covariate_shift(model, x, y, _LEARNING_RATE)

    def activations():
        probes.activations(model, x)

    layers = len(probes.internal_covariate_shift(model, x, y, _LEARNING_RATE).layers)
    time = medians(
        {f.__name__: seconds(f) for f in (gradients, landscape, shift, activations)},
        FLAGS.rounds,
    )
    gradient = time["gradients"] / _GRADIENTS
    evaluations = len(_STEP_SIZES) + 1
    print(
        f"VGG-{FLAGS.depth} with BN, width {FLAGS.width}, batch {_BATCH_SIZE}, on "
        f"{keras.backend.backend()}{' with jit_compile' if FLAGS.jit else ''}"
    )
    print(f"  one loss and gradient                  {gradient * 1e3:8.1f} ms")
    for name, count, text in (
        ("landscape", evaluations, f"landscape, over K + 1 = {evaluations} of them"),
        ("shift", layers, f"covariate shift, over {layers} layers"),
        ("activations", 1, "activations, over one"),
    ):
        ratio = time[name] / gradient / count
        print(f"  {text:36} {time[name] * 1e3:8.1f} ms  {ratio:.3f}")


_TRAIN = """
import resource, sys
import keras, numpy as np
from keras_bnsmooth import probes
layers = [keras.layers.Dense(4096) for _ in range(3)]
model = keras.Sequential([keras.Input((4096,)), *layers])
model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=sys.argv[2] == "True")
x = np.ones((16, 4096), "float32")
for _ in range(3):
    model.train_on_batch(x, x)
    if sys.argv[1] == "probe":
        probes.landscape(model, x, x, np.geomspace(0.05, 0.4, 8))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(peak, 4 * model.count_params())
"""


def peak_memory(probe):
    """Returns peak bytes of a process that trains a large network, and its weights'."""
    what = "probe" if probe else "train"
    command = [sys.executable, "-c", _TRAIN, what, str(FLAGS.jit)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(map(int, output.split()[-2:]))


def weigh_probes():
    """Prints what a landscape probe adds to the peak memory of training."""
    (training, weights), (probing, _) = peak_memory(False), peak_memory(True)
    print(f"Dense network with {weights / 1e6:.0f} MB of weights")
    print(f"  peak of training                       {training / 1e6:8.0f} MB")
    print(f"  peak of training and probing           {probing / 1e6:8.0f} MB")
    copies = (probing - training) / weights
    print(f"  added, in copies of the weights        {copies:8.2f}")


def main():
    """Prints both tables."""
    time_probes()
    weigh_probes()


if __name__ == "__main__":
    program.run(main)
