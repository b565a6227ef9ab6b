"""Plots the training curves of several runs in one figure and tabulates their ends.

python -m apps.compare_runs runs/none runs/bn runs/l1 --output=runs/norms.png

With `--landscape` or `--sharpness`, folders that only the probe of that name wrote are
accepted as well.
"""

from pathlib import Path

from absl import flags

from apps import program
from apps.errors import UserError, user_errors
from apps.figures.training_curves import (
    PROBE_FIGURES,
    draw_probe_figure,
    draw_training_curves,
    label_runs,
)
from keras_bnsmooth.records import json_lines

FLAGS = flags.FLAGS

flags.DEFINE_string("output", "training_curves.png", "Path of the training curves.")
for name in PROBE_FIGURES:
    flags.DEFINE_string(
        name, None, f"Path of a figure of the {name} records; not drawn by default."
    )


def main(paths):
    """Plots the runs and prints the table."""
    if not paths:
        raise UserError("pass one or more run directories.")
    runs = trained = [Path(path) for path in paths]
    with user_errors():
        for name in PROBE_FIGURES:
            if FLAGS[name].value:
                picture = draw_probe_figure(name, *runs, path=FLAGS[name].value)
                print(f"The {name} records are drawn in {picture}.")
                trained = [run for run in runs if (run / "metrics.jsonl").exists()]
        if trained:
            picture = draw_training_curves(*trained, path=FLAGS.output)
            print_last_rows(trained)
            print(f"The training curves are in {picture}.")


def print_last_rows(runs):
    """Prints the last row of metrics of each run, as a table."""
    labels = label_runs(runs)
    rows = [json_lines.read(run / "metrics.jsonl")[-1] for run in runs]
    columns = list(rows[0])
    width = max(map(len, labels))
    print(" ".join([" " * width, *(f"{name:>14}" for name in columns)]))
    for label, row in zip(labels, rows, strict=True):
        cells = (f"{row.get(name, float('nan')):14.5g}" for name in columns)
        print(" ".join([f"{label:{width}}", *cells]))


if __name__ == "__main__":
    program.run(main, accepts_paths=True)
