"""Cost of the probes, in evaluations of loss and gradient and in memory.

    python -m apps.benchmarks.probes
    KERAS_BACKEND=jax python -m apps.benchmarks.probes

Time: a VGG with batch normalization on a batch of CIFAR-10's shape, each probe in turn
with evaluations of the same loss and gradient, compiled the same way. Memory: the peak
of a process that trains a large network, with and without a landscape probe.
"""

import functools
import subprocess
import sys

import keras
from absl import flags

from apps import program
from apps.benchmarks import workload
from apps.benchmarks.timing import medians, time_call
from keras_bnsmooth import autodiff, probes

FLAGS = flags.FLAGS

workload.define_flags(rounds=15)
flags.DEFINE_bool(
    "jit",
    keras.backend.backend() == "jax",
    "Compile the model with jit_compile: XLA, which JAX depends on.",
)

_BATCH_SIZE = 128
_GRADIENTS = 5  # evaluations per measurement


def time_probes():
    """Prints the cost of the probes in evaluations of loss and gradient."""
    *_, batches = workload.random_images(_BATCH_SIZE, _BATCH_SIZE)
    x, y = batches(0)
    model = workload.build(FLAGS.jit, metrics=())
    value_and_grad = autodiff.compiled(model, autodiff.value_and_grad)
    batch = [keras.ops.convert_to_tensor(part) for part in (x, y)]

    def gradients():
        for _ in range(_GRADIENTS):
            _, gradient = value_and_grad(*batch)
            # Devices compute asynchronously: wait for the gradient of the first layer,
            # which is computed last.
            keras.ops.convert_to_numpy(gradient[0])

    def landscape():
        probes.landscape(model, x, y, workload.STEP_SIZES)

    def shift():
        return probes.internal_covariate_shift(model, x, y, workload.LEARNING_RATE)

    def activations():
        probes.activations(model, x)

    layers = len(shift().layers)
    contestants = (gradients, landscape, shift, activations)
    time = medians(
        {f.__name__: functools.partial(time_call, f) for f in contestants},
        FLAGS.rounds,
    )
    gradient = time["gradients"] / _GRADIENTS
    evaluations = len(workload.STEP_SIZES) + 1
    print(
        f"{workload.describe()}, batch {_BATCH_SIZE}, on "
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
    """Returns the bytes at the peak of a training process, and of its weights."""
    what = "probe" if probe else "train"
    command = [sys.executable, "-c", _TRAIN, what, str(FLAGS.jit)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(map(int, output.split()[-2:]))


def measure_memory():
    """Prints how much a landscape probe adds to the peak memory of training."""
    (training, weights), (probing, _) = peak_memory(False), peak_memory(True)
    print(f"Dense network with {weights / 1e6:.0f} MB of weights")
    print(f"  peak of training                       {training / 1e6:8.0f} MB")
    print(f"  peak of training and probing           {probing / 1e6:8.0f} MB")
    copies = (probing - training) / weights
    print(f"  added, in copies of the weights        {copies:8.2f}")


def main():
    """Prints both tables."""
    time_probes()
    measure_memory()


if __name__ == "__main__":
    program.run(main)
