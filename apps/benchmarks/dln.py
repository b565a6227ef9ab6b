"""Time of a training step of the DLN: the program, Keras' defaults and PyTorch.

    python -m apps.benchmarks.dln --norm=bn

PyTorch is timed where it is installed (`pip install torch`).
"""

import importlib.util
import itertools
import time

import keras
from absl import flags

from apps import program
from apps.benchmarks.rounds import medians, print_table
from keras_bnsmooth import data, models

FLAGS = flags.FLAGS

flags.DEFINE_enum("norm", "bn", ["none", "bn"], "Normalization after each layer.")
flags.DEFINE_integer("rounds", 7, "Measurements of each.", lower_bound=1)

_STEPS = 200  # in one measurement


def keras_fit(x, y, **compile_arguments):
    """Returns a function that times `fit`, by default as Keras has it."""
    model = models.dln(norm=FLAGS.norm, seed=0)
    model.compile(
        keras.optimizers.SGD(1e-6), models.SquaredError(), **compile_arguments
    )
    steps_per_execution = compile_arguments.get("steps_per_execution")

    def measure():
        start = time.perf_counter()
        if steps_per_execution:
            model.fit(
                (batch for batch in itertools.repeat((x, y))),
                steps_per_epoch=_STEPS,
                shuffle=False,
                verbose=0,
            )
        else:
            model.fit(x, y, batch_size=len(x), epochs=_STEPS, verbose=0)
        return (time.perf_counter() - start) / _STEPS

    return measure


def torch_eager(x, y):
    """Returns a function that times PyTorch's plain training loop."""
    import torch

    layers = []
    for _ in range(25):
        layers.append(torch.nn.Linear(10, 10, bias=False))
        if FLAGS.norm == "bn":
            layers.append(torch.nn.BatchNorm1d(10, eps=1e-3, momentum=0.01))
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def measure():
        start = time.perf_counter()
        for _ in range(_STEPS):
            optimizer.zero_grad()
            torch.square(model(x) - y).mean(1).sum().backward()
            optimizer.step()
        return (time.perf_counter() - start) / _STEPS

    return measure


def main():
    """Prints the table."""
    x, y = data.linear_teacher()
    contestants = {
        "fit with Keras' defaults": keras_fit(x, y),
        "train_dln": keras_fit(x, y, steps_per_execution=100, jit_compile=False),
        "train_dln --xla=on": keras_fit(
            x, y, steps_per_execution=100, jit_compile=True
        ),
    }
    if importlib.util.find_spec("torch"):
        contestants["PyTorch eager"] = torch_eager(x, y)
    print_table(medians(contestants, FLAGS.rounds), "fit with Keras' defaults")


if __name__ == "__main__":
    program.run(main)
