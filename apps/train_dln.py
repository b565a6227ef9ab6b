"""Trains the paper's deep linear network by full-batch gradient descent.

    python -m apps.train_dln --norm=bn
    python -m apps.train_dln --norm=none --reduction=sum_sum
    python -m apps.train_dln --norm=bn --probe_every=100 --ics_every=500

Each of these has the paper's full size, 25 layers of 10 x 10, 1,000 samples and 10,000
steps, and takes about a minute on two CPU cores. Everything is written to the run
directory; rerun the same command to resume a stopped run.
"""

import itertools

import keras
from absl import flags

from apps import data, program
from apps.figures.training_curves import draw_training_curves
from apps.settings import STEP_SIZES
from apps.training import run_flags
from apps.training.compilation import compile_full_batch
from apps.training.environment import set_precision
from apps.training.train import train
from keras_bnsmooth import models
from keras_bnsmooth.models.deep_linear_network import REDUCTIONS

FLAGS = flags.FLAGS

run_flags.define(steps=10_000, learning_rate=1e-6, metrics_every=100)
flags.DEFINE_integer("depth", 25, "Linear layers.", lower_bound=1)
flags.DEFINE_integer("dim", 10, "Units per layer.", lower_bound=1)
flags.DEFINE_integer("samples", 1000, "Samples, all in one batch.", lower_bound=1)
flags.DEFINE_enum(
    "reduction",
    "sum_mean",
    REDUCTIONS,
    "Reduction of the squared error over the samples, then over the outputs.",
)
flags.DEFINE_enum(
    "dtype",
    "float32",
    ["float32", "float64"],
    "Floating-point precision of all computations.",
)


def build(loss, devices):
    """Returns the network compiled with `loss`, to be trained on `devices`."""
    keras.utils.set_random_seed(FLAGS.seed)
    model = models.dln(
        FLAGS.depth,
        FLAGS.dim,
        norm=FLAGS.norm,
        seed=FLAGS.seed,
        synchronized=FLAGS.synchronized,
        norm_after_centering=FLAGS.norm_after_centering,
    )
    # Without normalizations, a step has too few operations for XLA to pay on a CPU.
    xla = run_flags.xla(devices, on_cpu=FLAGS.norm != "none")
    model.compile(
        keras.optimizers.SGD(FLAGS.learning_rate),
        loss,
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
    set_precision(FLAGS.dtype)
    devices = run_flags.start_strategy()
    x, y = data.linear_teacher(FLAGS.samples, FLAGS.dim, FLAGS.seed, FLAGS.dtype)
    loss = models.SquaredError(FLAGS.reduction)
    scale = loss.scale_to_full_sum(FLAGS.samples, FLAGS.dim)
    norm = run_flags.describe_norm()
    name = f"dln{FLAGS.depth}_{norm}_{FLAGS.reduction}_seed{FLAGS.seed}"
    run = run_flags.open_run(__name__, f"runs/{name}", devices)
    with devices.scope():
        train(
            run,
            lambda: build(loss, devices),
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
            derive=lambda row: {"squared_error": row["loss"] * scale},
        )
    if run.writes:
        picture = draw_training_curves(run.path)
        print(f"The run is in {run.path}, its training curve is in {picture}.")


if __name__ == "__main__":
    program.run(main, resumable=True)
