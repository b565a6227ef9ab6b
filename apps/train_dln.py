"""Trains the paper's deep linear network by full-batch gradient descent.

    python -m apps.train_dln --norm=bn
    python -m apps.train_dln --norm=none --learning_rate=1e-7
    python -m apps.train_dln --norm=bn --probe_every=100 --ics_every=500

Each of these has the paper's full size, 25 layers of 10 x 10, 1,000 samples and 10,000
steps, and takes about a minute on two CPU cores. Everything is written to the run
directory; rerun the same command to resume a stopped run.

The loss is the literal squared norm, summed over all samples and outputs. Runs compute
in float64: in float32, rounding hides how the loss and the gradient change along the
shortest steps. On JAX and torch, Keras supports float32 alone.
"""

import itertools

import keras
from absl import flags

from apps import data, memory, program
from apps.figures.training_curves import draw_training_curves
from apps.settings import STEP_SIZES
from apps.training import run_flags
from apps.training.compilation import compile_full_batch
from apps.training.environment import default_precision, set_precision
from apps.training.train import train
from keras_bnsmooth import models

FLAGS = flags.FLAGS

run_flags.define(steps=10_000, learning_rate=1e-6, metrics_every=100)
flags.DEFINE_integer("depth", 25, "Linear layers.", lower_bound=1)
flags.DEFINE_integer("dim", 10, "Units per layer.", lower_bound=1)
flags.DEFINE_integer("samples", 1000, "Samples, all in one batch.", lower_bound=1)
flags.DEFINE_bool(
    "normalize_output", True, "Whether --norm follows the last layer, too."
)
flags.DEFINE_enum(
    "dtype",
    default_precision(),
    ["float32", "float64"],
    "Floating-point precision of all computations; float64 needs TensorFlow.",
)


def build(devices):
    """Returns the compiled network, to be trained on `devices`."""
    keras.utils.set_random_seed(FLAGS.seed)
    model = models.dln(
        FLAGS.depth,
        FLAGS.dim,
        norm=FLAGS.norm,
        seed=FLAGS.seed,
        synchronized=FLAGS.synchronized,
        norm_after_centering=FLAGS.norm_after_centering,
        normalize_output=FLAGS.normalize_output,
    )
    # Without normalizations, a step has too few operations for XLA to pay on a CPU.
    xla = run_flags.xla(devices, on_cpu=FLAGS.norm != "none")
    model.compile(
        keras.optimizers.SGD(FLAGS.learning_rate),
        models.SquaredError(),
        jit_compile=xla,
        # A step takes about a millisecond, as does returning to Python.
        steps_per_execution=run_flags.steps_per_execution(
            devices, FLAGS.steps, FLAGS.metrics_every
        ),
    )
    if xla and keras.backend.backend() == "tensorflow":
        compile_full_batch(model)
    return model


def main():
    """Trains the network and draws the training curve."""
    memory.check(
        memory.of_dln(FLAGS.depth, FLAGS.dim, FLAGS.samples, FLAGS.dtype),
        f"--depth={FLAGS.depth} --dim={FLAGS.dim} --samples={FLAGS.samples}",
        "lower them",
    )
    set_precision(FLAGS.dtype)
    devices = run_flags.start_strategy()
    x, y = data.linear_teacher(FLAGS.samples, FLAGS.dim, FLAGS.seed, FLAGS.dtype)
    norm = run_flags.describe_norm()
    name = f"dln{FLAGS.depth}_{norm}_lr{FLAGS.learning_rate:g}_seed{FLAGS.seed}"
    run = run_flags.open_run(__name__, f"runs/{name}", devices)
    with devices.scope():
        train(
            run,
            lambda: build(devices),
            lambda first_step: devices.input(lambda: itertools.repeat((x, y))),
            steps=FLAGS.steps,
            metrics_every=FLAGS.metrics_every,
            checkpoint_every=FLAGS.checkpoint_every,
            callbacks=run_flags.probe_callbacks(
                lambda step: (x, y),
                run.path,
                successive=False,
                multiples=STEP_SIZES["dln"],
            ),
        )
    if run.writes:
        picture = draw_training_curves(run.path)
        print(f"The run is in {run.path}, its training curve is in {picture}.")


if __name__ == "__main__":
    program.run(main, resumable=True)
