"""The training curves of runs: loss, and accuracy where there is one."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from keras_bnsmooth.records import json_lines

# Told apart in black and white by their dashes, by the colour-blind by Okabe and
# Ito's colours.
_STYLES = (
    {"color": "#000000", "linestyle": "-"},
    {"color": "#0072B2", "linestyle": "-"},
    {"color": "#D55E00", "linestyle": "--"},
    {"color": "#009E73", "linestyle": "-."},
    {"color": "#CC79A7", "linestyle": ":"},
    {"color": "#E69F00", "linestyle": (0, (5, 1))},
    {"color": "#56B4E9", "linestyle": (0, (3, 1, 1, 1))},
)


def draw_training_curves(*runs, path=None, labels=None):
    """Draws the curves of one or several runs into one picture.

    Args:
        *runs: Run directories with `config.json` and `metrics.jsonl`.
        path: Of the PNG; None takes `training_curves.png` in the first run.
        labels: Of the runs; None takes their normalizations.

    Returns:
        The path of the picture.
    """
    runs = [Path(run) for run in runs]
    configs = [json.loads((run / "config.json").read_text()) for run in runs]
    rows = [json_lines.read(run / "metrics.jsonl") for run in runs]
    labels = labels or [config["flags"]["norm"] for config in configs]
    panels = _panels(rows[0])
    figure = Figure(figsize=(4.4 * len(panels), 3.4), layout="constrained")
    for axes, (title, name, scale) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for run_rows, label, style in zip(rows, labels, _STYLES, strict=False):
            points = [(row["step"], row[name]) for row in run_rows if name in row]
            axes.plot(*zip(*points, strict=True), label=label, **style)
        axes.set(title=title, xlabel="step", yscale=scale)
        axes.grid(alpha=0.3)
    if len(runs) > 1:
        axes.legend()
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
