"""The training curves of runs: loss, and accuracy where there is one."""

import itertools
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
        labels: Of the runs; None takes the flags in which they
            differ.

    Returns:
        The path of the picture.

    Raises:
        ValueError: A directory is not that of a run.
    """
    runs = [Path(run) for run in runs]
    for run in runs:
        for name in ("config.json", "metrics.jsonl"):
            if not (run / name).exists():
                raise ValueError(f"{run} is no run directory: it has no {name}.")
    configs = [json.loads((run / "config.json").read_text()) for run in runs]
    rows = [json_lines.read(run / "metrics.jsonl") for run in runs]
    labels = labels or label_runs(configs)
    panels = _panels(rows[0])
    figure = Figure(figsize=(4.4 * len(panels), 3.4), layout="constrained")
    for axes, (title, name, scale) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for run_rows, label, style in zip(rows, labels, itertools.cycle(_STYLES)):
            points = [(row["step"], row[name]) for row in run_rows if name in row]
            axes.plot(*zip(*points, strict=True), label=label, **style)
        axes.set(title=title, xlabel="step", yscale=scale)
        axes.grid(alpha=0.3)
    if len(runs) > 1:
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=min(len(runs), 7),
        )
    figure.suptitle(configs[0].get("provenance", ""), fontsize="small")
    path = path or runs[0] / "training_curves.png"
    figure.savefig(path, dpi=150)
    return path


def label_runs(configs):
    """Returns a label for each configuration: the flags in which they differ."""
    flags = [config["flags"] for config in configs]
    differ = [
        name
        for name in flags[0]
        if name != "workdir" and any(f.get(name) != flags[0][name] for f in flags)
    ]
    if differ in ([], ["norm"]):
        return [f["norm"] for f in flags]
    return [", ".join(f"{name} {f.get(name)}" for name in differ) for f in flags]


def _panels(rows):
    """(title, name in a row, scale of the axis) of what these rows hold."""
    if any("test_accuracy" in row for row in rows):
        return [
            ("training loss", "loss", "linear"),
            ("training accuracy", "accuracy", "linear"),
            ("test accuracy", "test_accuracy", "linear"),
        ]
    return [("squared error over all samples", "squared_error", "log")]
