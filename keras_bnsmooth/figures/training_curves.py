"""The training curves of runs: loss, and accuracy where there is one."""

import itertools
from pathlib import Path

from matplotlib.figure import Figure

from keras_bnsmooth.figures.runs import label_runs, read_configs
from keras_bnsmooth.figures.styles import STYLES
from keras_bnsmooth.records import json_lines


def draw_training_curves(*runs, path=None, labels=None):
    """Draws the curves of one or several runs into one picture.

    Args:
        *runs: Run directories with `config.json` and `metrics.jsonl`.
        path: Of the PNG; None takes `training_curves.png` in the first run.
        labels: Of the runs; None takes the flags in which they
            differ.

    Returns:
        The path of the picture.

    Raises:
        ValueError: A directory is not that of a run.
    """
    runs = [Path(run) for run in runs]
    configs = read_configs(runs, "metrics.jsonl")
    rows = [json_lines.read(run / "metrics.jsonl") for run in runs]
    labels = labels or label_runs(configs)
    panels = _panels(rows[0])
    figure = Figure(figsize=(4.4 * len(panels), 3.4), layout="constrained")
    for axes, (title, name, scale) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for run_rows, label, style in zip(rows, labels, itertools.cycle(STYLES)):
            points = [(row["step"], row[name]) for row in run_rows if name in row]
            axes.plot(*zip(*points, strict=True), label=label, **style)
        axes.set(title=title, xlabel="step", yscale=scale)
        axes.grid(alpha=0.3)
    if len(runs) > 1:
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=min(len(runs), 3 * len(panels)),
        )
    figure.suptitle(configs[0].get("provenance", ""), fontsize="small")
    path = path or runs[0] / "training_curves.png"
    figure.savefig(path, dpi=150)
    return path


def _panels(rows):
    """(title, name in a row, scale of the axis) of what these rows hold."""
    if any("test_accuracy" in row for row in rows):
        return [
            ("training loss", "loss", "linear"),
            ("training accuracy", "accuracy", "linear"),
            ("test accuracy", "test_accuracy", "linear"),
        ]
    return [("squared error over all samples", "squared_error", "log")]
