"""Activations over training: moments and distributions (figures 7, 8 and 14)."""

import numpy as np

from apps.figures.paper import ALL, BOTH, NOISY, Shown, paper_figure
from apps.settings import DLN, VGG, linear_layers
from keras_bnsmooth.plots import drawing, panels
from keras_bnsmooth.plots.columns import (
    evenly_spaced,
    layer_names,
    select_layer,
    successive_rows,
)
from keras_bnsmooth.plots.styles import STYLES

_MOMENTS = ("mean", "variance")
RIDGES = (
    "A ridge is the histogram of one random unit's values over the batch (and, for a "
    "convolution, height and width) at a training step, in training mode: the output "
    "of the linear layer, before the normalization if there is one. Bins are merged "
    "where values are few, ridges are scaled to equal height; each panel has its own "
    "range, and the first seed is shown. "
)


def _describe_batches(shown):
    """Returns which batches the two steps of a change were measured on."""
    records = [record for of_norm in shown.records(VGG).values() for record in of_norm]
    same = all("batch_step" in record for record in records)
    return "both on the batch of the first" if same else "each on its own batch"


_CHANGES = (
    "Change of moments between successive steps",
    "Absolute change of the mean and of the variance of one random unit's values "
    "between two successive training steps, ",
    _describe_batches,
    ", for two layers at one third and two thirds of the depth: the output of the "
    "linear layer, before the normalization if there is one. ",
    Shown.describe_seeds,
)
_VGG_RIDGES = (
    "Distributions under all normalizations",
    "Distributions of activations in two layers, at one third and two thirds of the "
    "depth, under the different normalizations. ",
    RIDGES,
)
_DLN_RIDGES = (
    "Distributions in the deep linear network",
    "Distributions of activations in the deep linear network. ",
    RIDGES,
)


@paper_figure(7, _CHANGES, (VGG,), NOISY, ("activations",))
def draw_moment_changes(shown):
    """Draws the change of the mean and of the variance, for two layers."""
    records = shown.records(VGG)
    layers = example_layers(records, 2)
    figure = drawing.new_figure(10, 6.4)
    rows = figure.subplots(len(layers), 2, squeeze=False)
    for row, (number, name), letter in zip(rows, layers, "ab", strict=False):
        for norm, of_norm in records.items():
            layer = [select_layer(record, name) for record in of_norm]
            changes = [moment_changes(record) for record in layer]
            for axes, moment in zip(row, _MOMENTS, strict=True):
                drawing.draw_line(axes, changes, moment, STYLES[norm])
        for axes, moment in zip(row, _MOMENTS, strict=True):
            title = f"({letter}) {moment}, {name} (layer {number})"
            drawing.format_over_steps(axes, title, f"change of the {moment}", log=True)
    return figure


@paper_figure(8, _DLN_RIDGES, (DLN,), BOTH, ("activations",))
def draw_dln_distributions(shown):
    """Draws four layers of the DLN, one row per norm."""
    figure = drawing.new_figure(11, 6.8)
    draw_examples(figure, shown.records(DLN), count=4, runs_in_rows=True)
    return figure


@paper_figure(14, _VGG_RIDGES, (VGG,), ALL, ("activations",))
def draw_vgg_distributions(shown):
    """Draws two layers of the VGG under the different normalizations."""
    figure = drawing.new_figure(13, 7.5)
    draw_examples(figure, shown.records(VGG), count=2)
    return figure


def draw_examples(figure, records, count, **arguments):
    """Draws distributions of evenly spaced layers, see `panels.draw_distributions`."""
    layers = [
        dict.fromkeys(records, name) for _, name in example_layers(records, count)
    ]
    panels.draw_distributions(figure, records, STYLES, layers, **arguments)


def example_layers(records, count):
    """Returns evenly spaced linear layers, which all networks share.

    Args:
        records: Dict from norm to the records of its seeds.
        count: Number of layers.

    Returns:
        List of (number from 1, name).
    """
    names = layer_names(records["none"][0])
    return evenly_spaced(linear_layers(names, "none"), count)


def moment_changes(record):
    """Returns |moment at t + 1 - moment at t| at the steps t measured with t + 1.

    Args:
        record: Record of one layer: `step`, `mean` and `variance` [rows].
    """
    first = successive_rows(record)
    with np.errstate(invalid="ignore"):
        changes = {
            moment: np.abs(record[moment][first + 1] - record[moment][first])
            for moment in _MOMENTS
        }
    return {"step": record["step"][first], **changes}
