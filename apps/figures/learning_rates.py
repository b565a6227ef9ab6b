"""The end of training over a range of learning rates, for each normalization."""

import numpy as np

from keras_bnsmooth.plots.drawing import finish, new_figure, set_log_scale
from keras_bnsmooth.plots.styles import STYLES

_PANELS = {
    "accuracy": "training accuracy at the end",
    "loss": "training loss at the end",
    "beta": "effective β, median over training",
}
# Panels with a logarithmic axis.
_LOG = ("loss", "beta")


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
    panels = [name for name in _PANELS if any(row[name] is not None for row in rows)]
    norms = [norm for norm in STYLES if any(row["norm"] == norm for row in rows)]
    count = max(1, len(panels))
    figure = new_figure(4.4 * count, 4)
    axes_list = figure.subplots(1, count, squeeze=False)[0]
    for axes, name in zip(axes_list, panels, strict=False):
        for norm in norms:
            _draw_norm(axes, rows, norm, name)
        axes.set(xlabel="learning rate", ylabel=_PANELS[name])
        set_log_scale(axes, "xy" if name in _LOG else "x")
        axes.grid(alpha=0.3)
    return finish(figure, _describe_ends(rows))


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
