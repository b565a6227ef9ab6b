"""Changes of an activation's moments between two successive steps (figure 7)."""

import numpy as np

from apps.figures import captions
from apps.figures.drawing import (
    draw_line,
    finish,
    line_entries,
    new_figure,
    over_steps,
)
from apps.figures.layers import linear_layers, of_layer, output_of, spread
from apps.figures.styles import STYLES
from apps.settings import VGG

NORMS = ("none", "bn", "noisy_bn")
_MOMENTS = ("mean", "variance")


def draw(runs):
    """Draws figure 7: change of the mean and of the variance, for two layers.

    Args:
        runs: A `RunSet`.
    """
    records = {norm: VGG.records(runs, norm, "activations") for norm in NORMS}
    layers = spread(linear_layers(records["none"][0], "none"), 2)
    figure = new_figure(10, 6.4)
    panels = figure.subplots(len(layers), 2, squeeze=False)
    for row, (number, layer), letter in zip(panels, layers, "ab", strict=False):
        for norm in NORMS:
            changes = [
                change(of_layer(record, output_of(record, layer, norm)))
                for record in records[norm]
            ]
            for axes, moment in zip(row, _MOMENTS, strict=True):
                draw_line(axes, changes, moment, STYLES[norm])
        for axes, moment in zip(row, _MOMENTS, strict=True):
            title = f"({letter}) {moment}, {layer} (layer {number})"
            over_steps(axes, title, f"change of the {moment}", log=True)
    return finish(
        figure,
        line_entries(STYLES[norm] for norm in NORMS),
        captions.describe(runs, [VGG], NORMS, "activations"),
    )


def caption(runs):
    """Returns the caption of figure 7."""
    return (
        "Absolute change of the mean and of the variance of one random unit's values "
        "between two successive training steps, each on its own batch, for two "
        "layers at a third and two thirds of the depth: outputs of the "
        "normalization where there is one, before the activation function. "
        + captions.describe_seeds(runs, [VGG], NORMS, "activations")
        + captions.describe(runs, [VGG], NORMS, "activations")
    )


def change(record):
    """Returns |moment at t + 1 - moment at t| at the steps t that have both.

    Args:
        record: Of one layer: `step`, `mean` and `variance` [rows].
    """
    first = np.flatnonzero(np.diff(record["step"]) == 1)
    with np.errstate(invalid="ignore"):
        changes = {
            moment: np.abs(record[moment][first + 1] - record[moment][first])
            for moment in _MOMENTS
        }
    return {"step": record["step"][first], **changes}
