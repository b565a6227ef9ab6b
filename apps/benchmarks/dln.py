"""Time of a training step of the DLN in float32: ours, Keras' defaults and PyTorch.

    python -m apps.benchmarks.dln --norm=bn

PyTorch is timed if it is installed (`pip install torch`).
"""

import importlib.util
import itertools

import keras
from absl import flags

from apps import data, program
from apps.benchmarks.timing import medians, print_table, time_call
from apps.training.compilation import compile_full_batch
from keras_bnsmooth import models

FLAGS = flags.FLAGS

flags.DEFINE_enum("norm", "bn", ["none", "bn"], "Normalization after each layer.")
flags.DEFINE_integer("rounds", 7, "Measurements of each.", lower_bound=1)

_STEPS = 500  # per measurement


def keras_fit(x, y, full_batch=False, **compile_arguments):
    """Returns a function that times `fit`, by default with Keras' defaults."""
    model = models.dln(norm=FLAGS.norm, seed=0)
    model.compile(
        keras.optimizers.SGD(1e-6), models.SquaredError(), **compile_arguments
    )
    if full_batch:
        compile_full_batch(model)

    def train():
        stream = (batch for batch in itertools.repeat((x, y)))
        model.fit(stream, steps_per_epoch=_STEPS, shuffle=False, verbose=0)

    return lambda: time_call(train) / _STEPS


def torch_eager(x, y):
    """Returns a function that times a plain PyTorch training loop."""
    import torch

    layers = []
    for _ in range(25):
        layers.append(torch.nn.Linear(10, 10, bias=False))
        if FLAGS.norm == "bn":
            layers.append(torch.nn.BatchNorm1d(10, eps=1e-3, momentum=0.01))
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def train():
        for _ in range(_STEPS):
            optimizer.zero_grad()
            torch.square(model(x) - y).sum().backward()
            optimizer.step()

    return lambda: time_call(train) / _STEPS


def main():
    """Prints the table."""
    x, y = data.linear_teacher()
    many = {"steps_per_execution": 100}
    contestants = {
        "fit with Keras' defaults": keras_fit(x, y),
        "train_dln --dtype=float32 --xla=on": keras_fit(
            x, y, True, jit_compile=True, **many
        ),
        "train_dln --dtype=float32 --xla=off": keras_fit(
            x, y, jit_compile=False, **many
        ),
    }
    if importlib.util.find_spec("torch"):
        contestants["PyTorch eager"] = torch_eager(x, y)
    seconds = medians(contestants, FLAGS.rounds)
    for reference in ("fit with Keras' defaults", "PyTorch eager"):
        if reference in seconds:
            print_table(seconds, reference)


if __name__ == "__main__":
    program.run(main)
