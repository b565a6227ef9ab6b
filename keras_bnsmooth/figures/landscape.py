"""The loss landscape along the gradient over training (figures 4 and 9)."""

import itertools
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from keras_bnsmooth.figures.runs import label_runs, read_configs
from keras_bnsmooth.figures.styles import STYLES
from keras_bnsmooth.records import json_lines

_HATCHES = ("", "////", "\\\\\\\\", "....", "xxxx", "||||", "----")


def draw_landscape(*runs, path):
    """Draws loss band, gradient-predictiveness band and beta of runs, side by side.

    Args:
        *runs: Run directories with `config.json` and `landscape.jsonl`.
        path: Of the PNG.

    Returns:
        The path of the picture.

    Raises:
        ValueError: A directory is not that of a run with this record.
    """
    runs = [Path(run) for run in runs]
    configs = read_configs(runs, "landscape.jsonl")
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    loss, gradient, beta = figure.subplots(1, 3)
    for run, label, style, hatch in zip(
        runs, label_runs(configs), itertools.cycle(STYLES), itertools.cycle(_HATCHES)
    ):
        rows = json_lines.read(run / "landscape.jsonl")
        steps = [row["step"] for row in rows]
        for axes, quantity in ((loss, "losses"), (gradient, "gradient_distances")):
            values = np.array([row[quantity] for row in rows])
            band = {"color": style["color"], "hatch": hatch, "alpha": 0.35}
            axes.fill_between(steps, values.min(1), values.max(1), label=label, **band)
        beta.plot(steps, [row["beta"] for row in rows], label=label, **style)
    loss.set(title="loss landscape", ylabel="loss, min to max over steps")
    gradient.set(title="gradient predictiveness", ylabel="l2 change of the gradient")
    beta.set(title="effective beta-smoothness", ylabel="beta")
    for axes in (loss, gradient, beta):
        axes.set(xlabel="step", yscale="log")
        axes.grid(alpha=0.3)
    figure.legend(
        *beta.get_legend_handles_labels(), loc="outside lower center", ncols=7
    )
    figure.suptitle(configs[0].get("provenance", ""), fontsize="small")
    figure.savefig(path, dpi=150)
    return path
