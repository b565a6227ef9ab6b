"""Distributions of activations over training (figures 8 and 14)."""

from apps.figures import captions
from apps.figures.drawing import finish, new_figure
from apps.figures.layers import linear_layers, of_layer, output_of, spread
from apps.figures.ridges import draw_ridges
from apps.figures.styles import STYLES
from apps.settings import DLN, VGG

DLN_NORMS = ("none", "bn")
VGG_NORMS = ("none", "bn", "l1", "l2", "linf")

RIDGES = (
    "A ridge is the histogram of one random unit's values over the batch (and, of a "
    "convolution, height and width) at a training step, in training mode: outputs of "
    "the normalization where there is one, before the activation function. Bins are "
    "merged where values are few, ridges scaled to equal height; each panel has a "
    "range of its own, and the first seed is shown. "
)


def draw_dln(runs):
    """Draws figure 8: four layers of the DLN, rows for each reduction and norm.

    Args:
        runs: A `RunSet`.
    """
    figure = new_figure(11, 13)
    for part, setting in zip(figure.subfigures(2, 1), DLN, strict=True):
        draw_layers(part, runs, setting, DLN_NORMS, count=4, norms_in_rows=True)
        part.suptitle(setting.title, fontsize="medium")
    return finish(figure, footer=captions.describe(runs, DLN, DLN_NORMS, "activations"))


def draw_vgg(runs):
    """Draws figure 14: two layers of the VGG under the different normalizations."""
    figure = new_figure(13, 7.5)
    draw_layers(figure, runs, VGG, VGG_NORMS, count=2)
    return finish(
        figure, footer=captions.describe(runs, [VGG], VGG_NORMS, "activations")
    )


def caption_dln(runs):
    """Returns the caption of figure 8."""
    return (
        "Distributions of activations of layers of the deep linear network. "
        + RIDGES
        + captions.describe(runs, DLN, DLN_NORMS, "activations")
    )


def caption_vgg(runs):
    """Returns the caption of figure 14."""
    return (
        "Distributions of activations of two layers, at a third and two thirds of "
        "the depth, under the different normalizations. "
        + RIDGES
        + captions.describe(runs, [VGG], VGG_NORMS, "activations")
    )


def draw_layers(figure, runs, setting, norms, count, norms_in_rows=False):
    """Draws ridges of layers at equal distances in depth: a column for each norm.

    Args:
        figure: Where to draw, a figure or a part of it.
        runs: A `RunSet`.
        setting: The network.
        norms: The normalizations.
        count: Number of layers.
        norms_in_rows: Whether each norm has a row instead, and each layer a column.

    Returns:
        The axes [layers, norms].
    """
    records = {norm: setting.records(runs, norm, "activations")[0] for norm in norms}
    layers = spread(linear_layers(records["none"], "none"), count)
    if norms_in_rows:
        panels = figure.subplots(len(norms), len(layers), squeeze=False).T
    else:
        panels = figure.subplots(len(layers), len(norms), squeeze=False)
    for row, (_, layer) in zip(panels, layers, strict=True):
        for axes, (norm, record) in zip(row, records.items(), strict=True):
            name = output_of(record, layer, norm)
            shown = of_layer(record, name)
            draw_ridges(axes, shown, STYLES[norm])
            axes.set_title(
                f"{STYLES[norm].label}\n{name}, unit {shown['units'][0]}",
                fontsize="small",
            )
    for axes in panels[:, 0] if not norms_in_rows else panels[0]:
        axes.set_ylabel("step", fontsize="small")
    for axes in panels[-1] if not norms_in_rows else panels[:, -1]:
        axes.set_xlabel("activation", fontsize="small")
    return panels
