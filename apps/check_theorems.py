"""Checks the theorems of the paper on random problems and on a trained network.

    python -m apps.check_theorems
    python -m apps.check_theorems --model=runs/vgg11_bn_width16_seed0

The first takes about a minute on two CPU cores. The second measures the units of a
run with batch normalization instead, for some seconds a layer. Both print a table and
write it as JSON, with pictures and a page of all that was found so far, to --output.
"""

import json
import os
import sys
import time
from pathlib import Path

# Many small eigenvalue problems: threads would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import keras
from absl import flags

import keras_bnsmooth.models  # noqa: F401 - the classes that a saved model names
from apps import data, program
from apps.errors import UserError, user_errors
from apps.training.environment import describe

try:
    from apps.theory import figures, network, page
    from apps.theory.check import check
    from apps.theory.counterexamples import counterexamples
    from apps.theory.instances import BATCH_SIZES, LOSSES
    from apps.theory.statement import TOLERANCE
except ImportError as error:  # another backend than TensorFlow
    sys.exit(f"Error: {error}")

FLAGS = flags.FLAGS
# Flags of a run that say where it lies, not what it is.
_PLACES = ("workdir", "data_dir")

flags.DEFINE_integer("instances", 10_000, "Random problems.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of the first problem.", lower_bound=0)
flags.DEFINE_string("output", "runs/theory", "Directory for what is found.")
flags.DEFINE_string("model", None, "Run directory of a network to measure instead.")
flags.DEFINE_integer(
    "curvature_units", 4, "Units a layer for Theorem 4.2 on a network.", lower_bound=1
)


def check_random_problems(output: Path) -> None:
    """Every statement on random problems: table, JSON and pictures."""
    start = time.monotonic()
    seeds = range(FLAGS.seed, FLAGS.seed + FLAGS.instances)
    results = check(seeds, _show_progress)
    found = {
        "command": program.command_line(),
        "seconds": round(time.monotonic() - start, 1),
        **describe(),
        "instances": FLAGS.instances,
        "seed": FLAGS.seed,
        "tolerance": TOLERANCE,
        "batch_sizes": BATCH_SIZES,
        "losses": LOSSES,
        "results": [result.summary() for result in results],
        "counterexamples": [vars(example) for example in counterexamples()],
    }
    page.write_json(found, output / page.RANDOM_PROBLEMS)
    figures.draw_inequalities(results, output)
    print(page.text_table(found["results"]))
    print(f"{FLAGS.instances:,} problems in {found['seconds']} s.")


def _show_progress(done: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == FLAGS.instances else ""
        print(f"\r{done:,} problems", end=end, file=sys.stderr, flush=True)


def check_network(run: Path, output: Path) -> None:
    """Theorems 4.1 and 4.2 on the units of a trained network."""
    start = time.monotonic()
    made_with, model = load_run(run)
    x, y = load_batch(made_with)
    with user_errors():
        layers = network.measure(model, x, y, FLAGS.curvature_units, FLAGS.seed)
    rows = [network.summarize(layer) for layer in layers]
    found = {
        "command": program.command_line(),
        "seconds": round(time.monotonic() - start, 1),
        **describe(),
        "run": run.name,
        "flags": {k: v for k, v in made_with.items() if k not in _PLACES},
        "samples": len(x),
        "layers": rows,
        "log_smoothing": network.smoothing_shares(rows),
    }
    page.write_json(found, output / f"{page.NETWORK}{run.name}.json")
    figures.draw_network(run.name, rows, output / f"{page.NETWORK}{run.name}.png")
    print(page.network_table(found))


def load_run(run: Path):
    """Returns the flags of a training run and its trained model."""
    for name in ("config.json", "model.keras"):
        if not (run / name).is_file():
            raise UserError(
                f"--model={run} is no finished run: it has no {name}. Pass the "
                "--workdir of train_vgg or train_dln."
            )
    made_with = json.loads((run / "config.json").read_text())["flags"]
    return made_with, keras.models.load_model(run / "model.keras")


def load_batch(made_with: dict):
    """Returns the inputs and targets of the first batch of a training run."""
    seed = made_with["seed"]
    if "dataset" not in made_with:
        return data.linear_teacher(made_with["samples"], made_with["dim"], seed)
    found = data.load(made_with["dataset"], made_with["data_dir"])
    size, moments = made_with["batch_size"], found.channel_moments()
    return data.Batches(found.x_train, found.y_train, size, seed, *moments)(step=0)


def main():
    """Checks, and writes the page."""
    output = Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    if FLAGS.model is None:
        check_random_problems(output)
    else:
        check_network(Path(FLAGS.model), output)
    print(f"{page.write_page(output)} is the page of all that was found.")


if __name__ == "__main__":
    program.run(main)
