"""Trains a VGG network on images, as in figure 1 of the paper.

    python -m apps.train_vgg --dataset=digits --depth=11 --width=8 --steps=500
    python -m apps.train_vgg --norm=l1 --depth=11 --width=16 --steps=3000

    python -m apps.train_vgg --depth=11 --width=16 --probe_every=50 --ics_every=200

The first command takes half a minute on two CPU cores and needs no download. Without
flags, the program trains the full network on CIFAR-10 for the paper's 15,000 steps,
which takes a GPU. Everything is written to the run directory; rerun the same command to
resume a stopped run.

Networks with noisy batch normalization are evaluated twice at the end: as trained, and
with moving statistics recomputed without noise, since inference has none; see
`kb.recompute_moving_statistics`. `result.json` holds both accuracies.
"""

import keras
from absl import flags

from apps import data, memory, program
from apps.errors import user_errors
from apps.figures.training_curves import draw_training_curves
from apps.settings import STEP_SIZES
from apps.training import run_flags
from apps.training.train import train
from keras_bnsmooth import models

FLAGS = flags.FLAGS

run_flags.define(steps=15_000, learning_rate=0.1, metrics_every=50)
flags.DEFINE_string("dataset", "cifar10", "cifar10, digits, or the path of an .npz.")
flags.DEFINE_string(
    "data_dir", None, "Directory of TensorFlow Datasets; defaults to TFDS_DATA_DIR."
)
flags.DEFINE_integer("batch_size", 128, "Images per batch.", lower_bound=1)
flags.DEFINE_integer(
    "width", 64, "Filters of the first block; 64 is the full network.", lower_bound=1
)
flags.DEFINE_enum("depth", "16", ["11", "13", "16", "19"], "Layers with weights.")
flags.DEFINE_bool("augment", False, "Crop and flip the training images at random.")
flags.DEFINE_integer(
    "test_every", 500, "Steps between evaluations on test data.", lower_bound=1
)


def build(data_set, devices):
    """Returns the compiled network for `data_set`, to be trained on `devices`."""
    keras.utils.set_random_seed(FLAGS.seed)
    with user_errors():  # images too small for the network, for instance
        model = models.vgg(
            data_set.image_shape,
            data_set.num_classes,
            depth=int(FLAGS.depth),
            width=FLAGS.width,
            norm=FLAGS.norm,
            seed=FLAGS.seed,
            synchronized=FLAGS.synchronized,
            norm_after_centering=FLAGS.norm_after_centering,
        )
    model.compile(
        keras.optimizers.SGD(FLAGS.learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=run_flags.xla(devices),
    )
    return model


def _describe_recomputed(result):
    """Returns a line on the second evaluation of a network with noise, or ""."""
    if "test_accuracy_recomputed" not in result:
        return ""
    accuracy = result["test_accuracy_recomputed"]
    return f"With moving statistics recomputed without noise: {accuracy:.3f}.\n"


def main():
    """Trains the network, evaluates it on test data and draws the training curves."""
    devices = run_flags.start_strategy()
    data_set = data.load(FLAGS.dataset, FLAGS.data_dir)
    shape, classes = data_set.image_shape, data_set.num_classes
    memory.check(
        memory.of_vgg(shape, classes, FLAGS.width, FLAGS.batch_size),
        f"--width={FLAGS.width} --batch_size={FLAGS.batch_size} with {classes} classes",
        "lower them",
    )
    batches = data.Batches(
        data_set.x_train,
        data_set.y_train,
        FLAGS.batch_size,
        FLAGS.seed,
        *data_set.channel_moments(),
        augment=FLAGS.augment,
    )
    norm = run_flags.describe_norm()
    name = f"vgg{FLAGS.depth}_{norm}_width{FLAGS.width}_seed{FLAGS.seed}"
    run = run_flags.open_run(
        __name__,
        f"runs/{name}",
        devices,
        provenance=data_set.provenance,
        data_checksum=data_set.checksum(),
    )
    # Inference has no noise, but the moving statistics of training include it.
    noisy = FLAGS.norm == "noisy_bn"
    epoch = map(batches, range(batches.steps_per_epoch))
    with devices.scope():
        result = train(
            run,
            lambda: build(data_set, devices),
            lambda first_step: devices.input(lambda: batches.stream(first_step)),
            steps=FLAGS.steps,
            metrics_every=FLAGS.metrics_every,
            checkpoint_every=FLAGS.checkpoint_every,
            test_data=(batches.standardize(data_set.x_test), data_set.y_test),
            test_every=FLAGS.test_every,
            statistics_batches=epoch if noisy else None,
            callbacks=run_flags.probe_callbacks(
                batches, run.path, multiples=STEP_SIZES["vgg"]
            ),
        )
    if run.writes:
        picture = draw_training_curves(run.path)
        print(
            f"Test accuracy {result['test_accuracy']:.3f} after {result['steps']} "
            f"steps ({data_set.provenance}).\n"
            + _describe_recomputed(result)
            + f"The run is in {run.path}, its curves are in {picture}."
        )


if __name__ == "__main__":
    program.run(main, resumable=True)
