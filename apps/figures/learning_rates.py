"""What becomes of each normalization over a range of learning rates."""

import numpy as np

from apps.figures.drawing import finish, line_entries, new_figure, set_log
from apps.figures.styles import STYLES

_PANELS = {
    "accuracy": "training accuracy at the end",
    "squared_error": "squared error at the end",
    "loss": "training loss at the end",
    "beta": "effective β, median over training",
}
# On logarithmic axes.
_LOG = ("squared_error", "loss", "beta")


def draw_learning_rates(rows):
    """Draws final accuracy or error, loss and beta over the learning rate.

    A line a norm: the median over seeds, and a point for each seed. Runs that did
    not finish are left out of the line and counted in the small print, so that a
    line ends where its norm no longer trains.

    Args:
        rows: List of rows as `report.grid.grid_row` returns them.

    Returns:
        A matplotlib `Figure`.

    Raises:
        ValueError: There is no row.
    """
    if not rows:
        raise ValueError("there is no run to draw.")
    panels = [name for name in _PANELS if any(row[name] is not None for row in rows)]
    norms = [norm for norm in STYLES if any(row["norm"] == norm for row in rows)]
    figure = new_figure(4.4 * max(1, len(panels)), 4)
    for axes, name in zip(
        figure.subplots(1, max(1, len(panels)), squeeze=False)[0], panels, strict=False
    ):
        for norm in norms:
            _draw_norm(axes, rows, norm, name)
        axes.set(xlabel="learning rate", ylabel=_PANELS[name])
        set_log(axes, "xy" if name in _LOG else "x")
        axes.grid(alpha=0.3)
    return finish(figure, line_entries(STYLES[norm] for norm in norms), _ends(rows))


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


def _ends(rows):
    others = [row for row in rows if row["status"] != "finished"]
    if not others:
        return f"{len(rows)} runs, all finished; lines are medians over seeds."
    listed = ", ".join(
        f"{row['norm']} at {row['learning_rate']:g} ({row['status']})" for row in others
    )
    return f"{len(rows)} runs; lines are medians over seeds. Not drawn: {listed}."
