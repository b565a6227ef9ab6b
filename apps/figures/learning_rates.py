"""Networks over a range of learning rates: grids of runs, figures 15 and 16."""

import numpy as np
from matplotlib.ticker import NullLocator

from apps.claims import statistics
from apps.figures.paper import BOTH, Shown, paper_figure
from apps.settings import (
    DLN,
    DLN_LEARNING_RATES,
    LP_NORMS,
    VGG,
    VGG_LEARNING_RATES,
    VGG_SWEEP_STEPS,
)
from keras_bnsmooth.plots.drawing import finish, new_figure, set_log_scale
from keras_bnsmooth.plots.styles import STYLES

_PANELS = {
    "accuracy": "training accuracy at the end",
    "test_accuracy": "test accuracy at the end",
    "loss": "training loss at the end",
    "beta": "effective β, median over training",
    "sharpness": "sharpness, median over training",
    "cosine": "covariate shift: median cosine",
}
# Panels with a logarithmic axis.
_LOG = ("loss", "beta", "sharpness")
_EDGE = "2 / learning rate"

_VGG_SHORT = VGG.having(steps=VGG_SWEEP_STEPS)
_BARE = DLN.having(normalize_output=False, title="DLN, output of the last layer bare")
_DLN_RATES = (
    "The deep linear network over learning rates (not in the paper)",
    "Squared error over the last 5 % of training; cosine of gradients before and after "
    "the update of the layers before (definition 2.1), median over linear layers and "
    "training; effective beta-smoothness and, where recorded, sharpness, the largest "
    "eigenvalue of the Hessian, medians over training. Lines are medians over seeds, "
    "points are runs; runs that diverged are left out. Gradient descent is stable only "
    "where the sharpness is below the gray line, 2 / learning rate (Cohen et al., "
    "2021). The standard network is the same in both rows. ",
    Shown.describe_divergence,
)
_VGG_RATES = (
    "The VGG over learning rates (not in the paper)",
    "Training and test accuracy over the last 5 % of training, and effective "
    "beta-smoothness, median over training. Lines are medians over seeds, points are "
    "runs; runs that diverged are left out. ",
    Shown.describe_divergence,
)


def draw_learning_rates(rows):
    """Draws final accuracy, loss and beta over the learning rate.

    Each norm has one line, the median over seeds, and one point per seed. Runs that
    did not finish are not drawn but listed in the small print, so a line ends where
    its norm no longer trains.

    Args:
        rows: List of rows as returned by `report.grid.grid_row`.

    Returns:
        A matplotlib `Figure`.

    Raises:
        ValueError: `rows` is empty.
    """
    if not rows:
        raise ValueError("there are no runs to draw.")
    panels = [
        name for name in _PANELS if any(row.get(name) is not None for row in rows)
    ]
    norms = [norm for norm in STYLES if any(row["norm"] == norm for row in rows)]
    count = max(1, len(panels))
    figure = new_figure(4.4 * count, 4)
    axes_list = figure.subplots(1, count, squeeze=False)[0]
    for axes, name in zip(axes_list, panels, strict=False):
        for norm in norms:
            _draw_norm(axes, rows, norm, name)
        axes.set(xlabel="learning rate", ylabel=_PANELS[name])
        set_log_scale(axes, "xy" if name in _LOG else "x")
        _label_rates(axes, [row["learning_rate"] for row in rows])
        axes.grid(alpha=0.3)
    return finish(figure, _describe_ends(rows))


def _at(setting, rates):
    return tuple(setting.having(learning_rate=rate) for rate in rates)


def _ends_and_middle(setting, rates):
    """The setting at the lowest and highest rate, and at those between."""
    lowest, *middle, highest = rates
    return _at(setting, (lowest, highest)), _at(setting, middle)


_DLN_ENDS, _DLN_MIDDLE = _ends_and_middle(DLN, DLN_LEARNING_RATES)
_VGG_ENDS, _VGG_MIDDLE = _ends_and_middle(_VGG_SHORT, VGG_LEARNING_RATES)


@paper_figure(
    15,
    _DLN_RATES,
    _DLN_ENDS,
    BOTH,
    ("metrics", "landscape", "ics"),
    optional_norms=LP_NORMS,
    optional_settings=(*_DLN_MIDDLE, *_at(_BARE, DLN_LEARNING_RATES)),
)
def draw_dln_learning_rates(shown):
    """Draws error, covariate shift, beta and sharpness, one row per last layer."""
    labels = _PANELS | {"loss": "squared error at the end"}
    return _draw_rates(shown, ("loss", "cosine", "beta", "sharpness"), labels)


@paper_figure(
    16,
    _VGG_RATES,
    _VGG_ENDS,
    BOTH,
    ("metrics", "landscape"),
    optional_norms=("l1",),
    optional_settings=_VGG_MIDDLE,
)
def draw_vgg_learning_rates(shown):
    """Draws accuracies and beta."""
    return _draw_rates(shown, ("accuracy", "test_accuracy", "beta"))


def _draw_rates(shown, names, labels=_PANELS):
    """Draws quantities over the learning rate, one row per title of a setting."""
    rows = {}
    for setting in shown.settings:
        of_title = rows.setdefault(setting.title, [])
        for norm in shown.norms:
            runs = setting.runs(shown.runs, norm)
            of_title += [_row(run) for run in runs if not run.diverged]
    names = [
        name
        for name in names
        if any(row[name] is not None for of_title in rows.values() for row in of_title)
    ]
    rates = sorted({row["learning_rate"] for of in rows.values() for row in of})
    figure = new_figure(3.7 * len(names), 0.8 + 3.2 * len(rows))
    grid = figure.subplots(
        len(rows), len(names), sharex=True, sharey="col", squeeze=False
    )
    for line, (title, of_title) in zip(grid, rows.items(), strict=True):
        for axes, name in zip(line, names, strict=True):
            for norm in shown.norms:
                _draw_norm(axes, of_title, norm, name)
            if name in ("beta", "sharpness"):
                edge = 2 / np.array(rates)
                axes.plot(rates, edge, color="#666666", linewidth=0.8, label=_EDGE)
            axes.set_ylabel(labels[name])
            set_log_scale(axes, "xy" if name in _LOG else "x")
            _label_rates(axes, rates)
            axes.grid(alpha=0.3)
        if len(rows) > 1:
            line[0].set_title(title, loc="left", fontsize="medium")
    for axes in grid[-1]:
        axes.set_xlabel("learning rate")
    return figure


def _label_rates(axes, rates):
    """Marks the learning rates that were used, instead of powers of ten."""
    rates = sorted(set(rates))
    labels = [f"{rate:g}" for rate in rates]
    axes.set_xticks(rates, labels, rotation=45 if len(rates) > 4 else 0)
    axes.xaxis.set_minor_locator(NullLocator())


def _row(run):
    """Returns what is drawn of a run as a row of a grid; None is not drawn."""
    values = {
        name: statistics.at_the_end(run, name)
        if name in run.record("metrics")
        else None
        for name in ("accuracy", "test_accuracy", "loss")
    }
    if run.has("landscape"):
        values["beta"] = _median(statistics.beta(run))
    if run.has("ics"):
        shift = statistics.covariate_shift({run.norm: run}, "cosine")
        values["cosine"] = _median(shift[run.norm])
    if run.has("sharpness"):
        values["sharpness"] = _median(run.record("sharpness")["sharpness"])
    return dict.fromkeys(_PANELS) | {
        "norm": run.norm,
        "learning_rate": run.learning_rate,
        "status": "finished",
        **values,
    }


def _median(values):
    """The median of what is measured, NaN if nothing is."""
    return np.nan if np.isnan(values).all() else np.nanmedian(values)


def _draw_norm(axes, rows, norm, name):
    values = {}
    for row in rows:
        finished = row["norm"] == norm and row["status"] == "finished"
        if finished and row[name] is not None:
            values.setdefault(row["learning_rate"], []).append(row[name])
    rates = sorted(values)
    medians = [np.median(values[rate]) for rate in rates]
    style = STYLES[norm]
    axes.plot(rates, medians, label=style.label, **style.line)
    for rate in rates:
        axes.plot(
            [rate] * len(values[rate]), values[rate], ".", color=style.color, alpha=0.6
        )


def _describe_ends(rows):
    others = [row for row in rows if row["status"] != "finished"]
    if not others:
        return f"{len(rows)} runs, all finished; lines are medians over seeds."
    listed = ", ".join(
        f"{row['norm']} at {row['learning_rate']:g} ({row['status']})" for row in others
    )
    return f"{len(rows)} runs; lines are medians over seeds. Not drawn: {listed}."
