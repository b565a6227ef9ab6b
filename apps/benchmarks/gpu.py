"""Speed of training, compiled or not, and of probing, and how busy they keep a GPU.

    python -m apps.benchmarks.gpu
    KERAS_BACKEND=torch python -m apps.benchmarks.gpu --compile=off

The full-width VGG with batch normalization on images of CIFAR-10's shape, in the
batches that `train_vgg` uses. `python -m apps.benchmarks.probes --width=64` measures
the cost of the probes in evaluations of loss and gradient. The utilization of the GPU
is that reported by `nvidia-smi`, if installed.
"""

import itertools

import keras
from absl import flags

from apps import program
from apps.benchmarks import workload
from apps.benchmarks.timing import gpu_utilization, time_call
from apps.errors import UserError
from apps.training.environment import describe
from keras_bnsmooth import probes

FLAGS = flags.FLAGS

workload.define_flags(width=64, depth=16)
flags.DEFINE_integer("batch_size", 128, "Images per batch.", lower_bound=1)
flags.DEFINE_integer("steps", 500, "Steps per measurement.", lower_bound=1)
flags.DEFINE_integer("landscapes", 30, "Landscapes per measurement.", lower_bound=1)
flags.DEFINE_list(
    "compile",
    "on,off",
    "Whether to compile the training step, with XLA, jax.jit or torch.compile.",
)


def print_rate(what, unit, count, function):
    """Prints the rate at which `function(count)` runs, after a short warm-up."""
    function(2)
    with gpu_utilization() as utilization:
        seconds = time_call(lambda: function(count))
    print(f"{what:24} {count / seconds:8.2f} {unit}/s  GPU {utilization}", flush=True)


def main():
    """Prints one line per measurement."""
    unknown = set(FLAGS.compile) - {"on", "off"}
    if unknown:
        raise UserError(f"--compile must be on, off or both; received {unknown.pop()}.")
    *_, batches = workload.random_images(50 * FLAGS.batch_size, FLAGS.batch_size)
    environment = describe()
    print(
        f"{environment['device']}, Keras {keras.__version__} on "
        f"{environment['backend']}\n{workload.describe()}, batch {FLAGS.batch_size}"
    )
    for choice in FLAGS.compile:
        model = workload.build(choice == "on")

        def train(steps, model=model):
            # A generator, as in `train_vgg`. The end of `fit` waits for the last step.
            stream = (batch for batch in itertools.islice(batches.stream(), steps + 2))
            model.fit(stream, steps_per_epoch=steps, shuffle=False, verbose=0)

        def probe(landscapes, model=model):
            for step in range(landscapes):
                probes.landscape(model, *batches(step), workload.STEP_SIZES)

        print_rate(f"training, compile {choice}", "steps", FLAGS.steps, train)
        print_rate(f"landscape, compile {choice}", "probes", FLAGS.landscapes, probe)


if __name__ == "__main__":
    program.run(main)
