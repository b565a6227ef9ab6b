"""How far along the gradient it stays predictive (figure 10)."""

import numpy as np

from apps.figures import captions
from apps.figures.drawing import finish, line_entries, new_figure, set_log
from apps.figures.landscape import describe_unresolved, resolved
from apps.figures.styles import STYLES
from apps.settings import DLN, VGG

NORMS = ("none", "bn")
SETTINGS = (VGG, *DLN)
# Parts of training after which to look.
_PARTS = (0.01, 0.1, 0.5, 1.0)
_POINTS = {"marker": "o", "markersize": 3, "markevery": None, "linewidth": 1.2}


def draw(runs):
    """Draws figure 10: gradient distance against distance travelled, at four steps.

    Args:
        runs: A `RunSet`.
    """
    figure = new_figure(12, 9.5)
    parts = figure.subfigures(len(SETTINGS), 1)
    for part, setting, letter in zip(parts, SETTINGS, "abb", strict=True):
        part.suptitle(f"({letter}) {setting.title}", fontsize="medium")
        records = {
            norm: resolved(setting.records(runs, norm, "landscape")) for norm in NORMS
        }
        steps = _steps(records)
        panels = part.subplots(1, len(steps), sharex=True, sharey=True, squeeze=False)[
            0
        ]
        for axes, step in zip(panels, steps, strict=True):
            for norm in NORMS:
                _draw_step(axes, records[norm], step, STYLES[norm])
            set_log(axes, "xy")
            axes.set(title=f"step {step:,}", xlabel="distance along the gradient")
            axes.grid(alpha=0.3)
        panels[0].set_ylabel(r"$\ell_2$ change of the gradient")
    return finish(
        figure,
        line_entries(STYLES[norm] for norm in NORMS),
        captions.describe(runs, SETTINGS, NORMS, "landscape"),
    )


def caption(runs):
    """Returns the caption of figure 10."""
    return (
        "l2 change of the gradient against the distance travelled in its direction, "
        "step size times norm of the gradient, at four training steps; a line for "
        "each seed. "
        + describe_unresolved(runs, SETTINGS, NORMS, ("gradient_distances",))
        + captions.describe(runs, SETTINGS, NORMS, "landscape")
    )


def _draw_step(axes, records, step, style):
    for record in records:
        # None, where the run diverged before.
        for row in np.flatnonzero(record["step"] == step):
            distances = record["gradient_distances"][row]
            travelled = record["step_sizes"][row] * record["gradient_norm"][row]
            axes.plot(travelled, distances, **style.line | _POINTS)


def _steps(records):
    """Recorded steps near the parts of training, of the run that went furthest."""
    steps = max(
        (record["step"] for of_norm in records.values() for record in of_norm),
        key=lambda steps: steps[-1],
    )
    nearest = [np.abs(steps - part * steps[-1]).argmin() for part in _PARTS]
    return list(dict.fromkeys(steps[nearest].tolist()))
