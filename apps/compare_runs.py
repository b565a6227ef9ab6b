"""Draws the training curves of several runs into one picture and tabulates their ends.

python -m apps.compare_runs runs/none runs/bn runs/l1 --output=runs/norms.png
"""

from pathlib import Path

from absl import flags

from apps import program
from apps.figures.landscape import draw_landscape
from apps.figures.runs import label_runs, read_configs
from apps.figures.training_curves import draw_training_curves
from keras_bnsmooth.records import json_lines

FLAGS = flags.FLAGS

flags.DEFINE_string("output", "training_curves.png", "Where the picture goes.")
flags.DEFINE_string(
    "landscape", None, "Where a picture of their loss landscapes goes, if anywhere."
)


def main(paths):
    """Draws the picture and prints the table."""
    if not paths:
        raise ValueError("pass one run directory or several.")
    picture = draw_training_curves(*paths, path=FLAGS.output)
    runs = [Path(path) for path in paths]
    labels = label_runs(read_configs(runs))
    rows = [json_lines.read(run / "metrics.jsonl")[-1] for run in runs]
    columns = list(rows[0])
    width = max(map(len, labels))
    print(" ".join([" " * width, *(f"{name:>14}" for name in columns)]))
    for label, row in zip(labels, rows, strict=True):
        cells = (f"{row.get(name, float('nan')):14.5g}" for name in columns)
        print(" ".join([f"{label:{width}}", *cells]))
    print(f"{picture} shows their curves.")
    if FLAGS.landscape:
        picture = draw_landscape(*runs, path=FLAGS.landscape)
        print(f"{picture} shows their loss landscapes.")


if __name__ == "__main__":
    program.run(main, takes_paths=True)
