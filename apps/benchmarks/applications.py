"""Start-up and cost of the probes on large models of other people.

    python -m apps.benchmarks.applications [MODEL...]

Networks of `keras.applications` with random weights on random images of 32 x 32 pixels,
a small vision transformer and a small BERT.
Times of each probe: the start, which is compilation and the trial measurement, in
seconds, and one measurement in compiled evaluations of loss and gradient.
"""

import time

import keras
import numpy as np
from absl import flags
from keras import layers

from apps import program
from apps.benchmarks.timing import medians, time_call
from apps.errors import UserError
from keras_bnsmooth import autodiff
from keras_bnsmooth.callbacks import ICSProbe, LandscapeProbe, SharpnessProbe

FLAGS = flags.FLAGS

flags.DEFINE_integer("batch_size", 8, "Samples of the batch.", lower_bound=2)
flags.DEFINE_integer("rounds", 3, "Measurements of each.", lower_bound=1)
flags.DEFINE_integer(
    "layers", 0, "Layers of which to measure the covariate shift; 0 for all."
)

_CLASSES = 10
_STEP_SIZES = 0.01 * np.geomspace(0.5, 4.0, 8)
_IMAGE_SHAPE = (32, 32, 3)
_APPLICATIONS = (
    "ResNet50V2",
    "MobileNetV2",
    "EfficientNetB0",
    "DenseNet121",
    "ConvNeXtTiny",
)


def transformer_block(x, heads, width):
    """Returns the outputs of a block that normalizes its inputs."""
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(heads, width // heads)(y, y)
    y = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization()(x))
    return x + layers.Dense(width)(y)


class Positions(layers.Layer):
    """Adds a trained vector to each position."""

    def build(self, shape):
        """Creates the vectors."""
        self.vectors = self.add_weight(shape=shape[1:], name="vectors")

    def call(self, x):
        """Returns x with the vectors added."""
        return x + self.vectors


def vision_transformer(patch=4, width=96, depth=6):
    """Returns a vision transformer."""
    inputs = keras.Input(_IMAGE_SHAPE)
    x = layers.Conv2D(width, patch, patch)(inputs)
    x = Positions()(layers.Reshape((-1, width))(x))
    for _ in range(depth):
        x = transformer_block(x, 4, width)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(_CLASSES)(x), name="ViT")


def bert(words=1000, length=64, width=128, depth=4):
    """Returns an encoder of word sequences, like BERT."""
    inputs = keras.Input((length,), dtype="int32")
    x = Positions()(layers.Embedding(words, width)(inputs))
    for _ in range(depth):
        x = transformer_block(x, 4, width)
    x = layers.Lambda(lambda x: x[:, 0])(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(_CLASSES)(x), name="BERT")


def build(name):
    """Returns the compiled model of a name, and a batch (x, y)."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    count = FLAGS.batch_size
    x = rng.random((count, *_IMAGE_SHAPE), "float32")
    if name == "BERT":
        model, x = bert(), rng.integers(0, 1000, (count, 64))
    elif name == "ViT":
        model = vision_transformer()
    else:
        model = getattr(keras.applications, name)(
            weights=None,
            input_shape=_IMAGE_SHAPE,
            classes=_CLASSES,
            classifier_activation=None,
        )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss)
    return model, (x, rng.integers(0, _CLASSES, count))


def probes(batch):
    """Returns a dict of probes that measure at every step."""
    chosen = {"layers": FLAGS.layers} if FLAGS.layers else {}
    return {
        "landscape": LandscapeProbe(batch, step_sizes=_STEP_SIZES, every=1),
        "covariate shift": ICSProbe(batch, every=1, **chosen),
        "sharpness": SharpnessProbe(batch, every=1),
    }


def value_and_grad(model, weights, state, x, y):
    """Returns loss and gradient."""
    return autodiff.value_and_grad(model, weights, state, x, y)


def measure(name):
    """Prints the row of a model."""
    model, batch = build(name)
    tensors = [keras.ops.convert_to_tensor(array) for array in batch]
    gradient = autodiff.compiled(model, value_and_grad)

    def time_gradient():
        return time_call(lambda: keras.ops.convert_to_numpy(gradient(*tensors)[0]))

    first = time_gradient()
    print(f"{name}: {model.count_params():,} weights, first gradient {first:.1f} s")
    for kind, probe in probes(batch).items():
        probe.set_model(model)
        start = time.perf_counter()
        try:
            probe.on_train_begin()
        except ValueError as error:
            print(f"  {kind:16} refused: {error}")
            continue
        started = time.perf_counter() - start

        def time_probe(probe=probe):
            return time_call(lambda: probe.measure(0, probe.take(0)))

        seconds = medians(
            {"gradient": time_gradient, "probe": time_probe}, FLAGS.rounds
        )
        gradients = seconds["probe"] / seconds["gradient"]
        print(
            f"  {kind:16} start {started:6.1f} s, one measurement "
            f"{seconds['probe']:6.2f} s, {gradients:6.1f} gradients of "
            f"{seconds['gradient'] * 1e3:.0f} ms",
            flush=True,
        )


def main(names):
    """Prints a table."""
    known = [*_APPLICATIONS, "ViT", "BERT"]
    if unknown := set(names) - set(known):
        raise UserError(f"no model {', '.join(unknown)}; there are {', '.join(known)}.")
    for name in names or known:
        measure(name)


if __name__ == "__main__":
    program.run(main, accepts_paths=True)
