"""The training curves of any runs: loss, and accuracy where there is one."""

from pathlib import Path

from apps.figures.drawing import (
    draw_line,
    finish,
    line_entries,
    new_figure,
    over_steps,
    save,
)
from apps.figures.runs import read_configs, style_runs
from apps.figures.seeds import measured
from keras_bnsmooth.records import json_lines

# Titles, names in a record, and whether the axis is logarithmic.
_IMAGES = (
    ("training loss", "loss", False),
    ("training accuracy", "accuracy", False),
    ("test accuracy", "test_accuracy", False),
)
_REGRESSION = (("squared error over all samples", "squared_error", True),)


def draw_training_curves(*runs, path=None):
    """Draws the curves of one or several runs into one picture.

    Args:
        *runs: Run directories with `config.json` and `metrics.jsonl`.
        path: Of the PNG; None takes `training_curves.png` in the first run.

    Returns:
        The path of the picture.

    Raises:
        ValueError: A directory is not that of a run.
    """
    runs = [Path(run) for run in runs]
    configs = read_configs(runs, "metrics.jsonl")
    records = [json_lines.read_columns(run / "metrics.jsonl") for run in runs]
    styles = style_runs(configs)
    network = _REGRESSION if "squared_error" in records[0] else _IMAGES
    # A short run ends before its first test.
    panels = [panel for panel in network if any(panel[1] in r for r in records)]
    figure = new_figure(4.4 * len(panels), 3.4)
    for axes, (title, quantity, log) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for record, style in zip(records, styles, strict=True):
            draw_line(axes, [measured(record, quantity)], quantity, style)
        over_steps(axes, title, log=log)
    entries = line_entries(styles) if len(runs) > 1 else ()
    finish(figure, entries, configs[0].get("provenance", ""))
    path = path or runs[0] / "training_curves.png"
    save(figure, path)
    return path
