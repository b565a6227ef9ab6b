"""The loss landscape along the gradient over training (figures 4 and 9)."""

from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D

from apps.figures import captions
from apps.figures.drawing import (
    band_entries,
    draw_band,
    draw_line,
    finish,
    new_figure,
    over_steps,
    save,
)
from apps.figures.runs import read_configs, style_runs
from apps.figures.styles import STYLES
from keras_bnsmooth.records import json_lines

NORMS = ("none", "bn")
_EDGE = {"color": "#666666", "linewidth": 0.8, "linestyle": "-"}


def draw(runs, settings):
    """Draws figure 4 or 9: loss band, gradient band and beta, a row for each setting.

    Args:
        runs: A `RunSet`.
        settings: List of `Setting`.
    """
    figure = new_figure(11, 0.8 + 2.8 * len(settings))
    rows = figure.subfigures(len(settings), 1, squeeze=False)[:, 0]
    for row, setting in zip(rows, settings, strict=True):
        loss, gradient, beta = panels = row.subplots(1, 3)
        for norm in NORMS:
            records = resolved(setting.records(runs, norm, "landscape"))
            _draw_panels(panels, records, STYLES[norm])
        label_loss(loss, "(a) loss landscape", setting)
        label_gradient(gradient, "(b) gradient predictiveness")
        label_beta(beta, "(c) effective β-smoothness", runs, setting)
        row.suptitle(setting.title, fontsize="medium")
    styles = [STYLES[norm] for norm in NORMS]
    return finish(
        figure,
        band_entries(styles) + edge_entries(settings),
        captions.describe(runs, settings, NORMS, "landscape"),
    )


def caption(runs, settings):
    """Returns the caption of figure 4 or 9."""
    return (
        "At a training step, the range of (a) the loss and (b) the l2 change of the "
        "gradient over steps of "
        f"{_step_sizes(runs, settings[0])} in the direction of the gradient; "
        "(c) effective beta-smoothness, the largest change of the gradient over the "
        "distance moved. "
        + captions.describe_seeds(runs, settings, NORMS, "landscape")
        + describe_unresolved(runs, settings, NORMS)
        + captions.describe_ends(runs, settings, NORMS)
        + describe_edge(settings)
        + captions.describe(runs, settings, NORMS, "landscape")
    )


def _draw_panels(panels, records, style):
    """Draws the three quantities of one network."""
    loss, gradient, beta = panels
    draw_band(loss, records, "losses", style)
    draw_band(gradient, records, "gradient_distances", style)
    draw_line(beta, records, "beta", style)


def label_loss(axes, title, setting):
    """Sets up axes of a loss band."""
    over_steps(axes, title, setting.loss, log=True)


def label_gradient(axes, title):
    """Sets up axes of a band of gradient distances."""
    over_steps(axes, title, r"$\ell_2$ change of the gradient", log=True)


def label_beta(axes, title, runs, setting):
    """Sets up axes of beta; with the edge of stability for full-batch training."""
    over_steps(axes, title, "β", log=True)
    if setting.network == "dln":
        learning_rate = setting.runs(runs, NORMS[0])[0].learning_rate
        axes.axhline(2 / learning_rate, **_EDGE)


def edge_entries(settings):
    """Returns the legend's entry for the edge of stability, where it is drawn."""
    full_batch = any(setting.network == "dln" for setting in settings)
    return [(Line2D([], [], **_EDGE), "2 / learning rate")] if full_batch else []


def describe_edge(settings):
    """Returns what this line means, where it is drawn."""
    if not edge_entries(settings):
        return ""
    return (
        "Where beta is above 2 / learning rate, gradient descent is beyond the edge "
        "of stability (Cohen et al., 2021). "
    )


def resolved(records):
    """Returns the records with NaN for gradient distances that may be rounding."""
    return [
        record
        | {
            "gradient_distances": np.where(
                record["resolved"], record["gradient_distances"], np.nan
            )
        }
        for record in records
    ]


def describe_unresolved(
    runs, settings, norms, quantities=("losses", "gradient_distances", "beta")
):
    """Returns a sentence on what is left out of each quantity, or nothing."""
    return "".join(
        _describe_unresolved(runs, settings, norms, quantity) for quantity in quantities
    )


def _describe_unresolved(runs, settings, norms, quantity):
    shares = []
    for setting in settings:
        for norm in norms:
            records = resolved(setting.records(runs, norm, "landscape"))
            values = np.concatenate([record[quantity] for record in records])
            share = 1 - np.isfinite(values).mean()
            if share:
                name = [setting.network.upper(), captions.norm_name(norm)]
                name += [setting.reduction] if setting.reduction else []
                shares.append(f"{' '.join(name)} {share:.1%}")
    what = {
        "losses": "Losses that are not finite",
        "gradient_distances": "Changes of the gradient that are not finite, or may "
        "be rounding,",
        "beta": "Values of beta that are not finite",
    }[quantity]
    return f"{what} are left out: {', '.join(shares)}. " if shares else ""


def _step_sizes(runs, setting):
    """The range of step sizes, in multiples of the learning rate."""
    record = setting.records(runs, NORMS[0], "landscape")[0]
    low, high = (
        extreme(record["step_sizes"][0]) / record["learning_rate"][0]
        for extreme in (np.min, np.max)
    )
    return f"{low:.2g} to {high:.2g} learning rates"


def draw_landscape(*runs, path):
    """Draws loss band, gradient-predictiveness band and beta of any run directories.

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
    figure = new_figure(13, 3.8)
    loss, gradient, beta = panels = figure.subplots(1, 3)
    styles = style_runs(configs)
    for run, style in zip(runs, styles, strict=True):
        record = json_lines.read_columns(run / "landscape.jsonl")
        _draw_panels(panels, resolved([record]), style)
    over_steps(loss, "loss landscape", "loss, min to max over steps", log=True)
    label_gradient(gradient, "gradient predictiveness")
    over_steps(beta, "effective β-smoothness", "β", log=True)
    finish(figure, band_entries(styles), configs[0].get("provenance", ""))
    save(figure, path)
    return path
