"""Checks the theorems of the paper on random problems and on a trained network.

    python -m apps.check_theorems
    python -m apps.check_theorems --model=runs/vgg11_bn_width16_seed0

The first takes about a minute on two CPU cores. The second measures the units of a
run with batch normalization instead, in a few seconds per layer. Both print a table
and write it as JSON to --output, with pictures and a page of all results so far.
"""

import json
import sys
import time
from pathlib import Path

from absl import flags
from threadpoolctl import threadpool_limits

from apps import program
from apps.errors import user_errors
from apps.figures import theorems as figures
from apps.report import theorems as report
from apps.training.environment import describe

try:
    from apps.theory import network
    from apps.theory.check import check
    from apps.theory.counterexamples import counterexamples
    from apps.theory.instances import BATCH_SIZES, LOSSES
    from apps.theory.statement import TOLERANCE
    from apps.theory.trained_run import load_run
except ImportError as error:  # another backend than TensorFlow
    sys.exit(f"Error: {error}")

FLAGS = flags.FLAGS
# Flags that say where a run is stored, not what it is.
_PLACES = ("workdir", "data_dir")

flags.DEFINE_integer("instances", 10_000, "Random problems.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of the first problem.", lower_bound=0)
flags.DEFINE_string("output", "runs/theory", "Directory for the results.")
flags.DEFINE_string("model", None, "Run directory of a network to measure instead.")
flags.DEFINE_integer(
    "curvature_units",
    4,
    "Units per layer on which Theorem 4.2 is measured in a network.",
    lower_bound=1,
)


def check_random_problems(output):
    """Checks every statement on random problems; writes JSON and pictures."""
    start = time.monotonic()
    seeds = range(FLAGS.seed, FLAGS.seed + FLAGS.instances)
    statements = check(seeds, _show_progress)
    rows = [statement.summary() for statement in statements]
    found = {
        **_origin(start),
        "instances": FLAGS.instances,
        "seed": FLAGS.seed,
        "tolerance": TOLERANCE,
        "batch_sizes": BATCH_SIZES,
        "losses": LOSSES,
        "results": rows,
        "counterexamples": [example._asdict() for example in counterexamples()],
    }
    _write_json(output / report.RANDOM_PROBLEMS, found)
    figures.draw_inequalities(statements, output)
    print(report.text_table("forms", rows))
    print(f"{FLAGS.instances:,} problems in {found['seconds']} s.")


def check_network(run, output):
    """Checks Theorems 4.1 and 4.2 on a trained network; writes JSON and a picture."""
    start = time.monotonic()
    with user_errors():
        made_with, model, (x, y) = load_run(run)
        layers = network.measure_units(model, x, y, FLAGS.curvature_units, FLAGS.seed)
    rows = [network.summarize_layer(layer) for layer in layers]
    found = {
        **_origin(start),
        "run": run.name,
        "flags": {k: v for k, v in made_with.items() if k not in _PLACES},
        "samples": len(x),
        "layers": rows,
        "log_smoothing": network.smoothing_shares(rows),
    }
    stem = f"{report.NETWORK}{run.name}"
    _write_json(output / f"{stem}.json", found)
    figures.draw_network(run.name, rows, output / f"{stem}.png")
    print(report.text_table("layers", rows))


def main():
    """Checks, and writes the page."""
    output = Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    if FLAGS.model is None:
        check_random_problems(output)
    else:
        check_network(Path(FLAGS.model), output)
    print(f"{report.write_page(output)} is the page of all results so far.")


def _show_progress(done):
    if sys.stderr.isatty():
        end = "\n" if done == FLAGS.instances else ""
        print(f"\r{done:,} problems", end=end, file=sys.stderr, flush=True)


def _origin(start):
    """Returns what the results were computed with, and how long it took."""
    seconds = round(time.monotonic() - start, 1)
    return {"command": program.command_line(), "seconds": seconds, **describe()}


def _write_json(path, found):
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    # Threads would only wait for each other in many small eigenvalue problems.
    with threadpool_limits(1, "blas"):
        program.run(main)
