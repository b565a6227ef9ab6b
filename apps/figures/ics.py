"""Internal covariate shift over training (figures 3 and 6)."""

from apps.figures import captions
from apps.figures.drawing import (
    draw_line,
    finish,
    line_entries,
    new_figure,
    over_steps,
)
from apps.figures.layers import linear_layers, of_layer, spread
from apps.figures.styles import STYLES
from apps.settings import DLN, VGG

NORMS = ("none", "bn")
SETTINGS = (VGG, *DLN)


def draw_two_layers(runs):
    """Draws figure 3: cosine and l2 difference of gradients, two layers a network.

    Args:
        runs: A `RunSet`.
    """
    figure = new_figure(16, 5.8)
    return _draw(figure, figure.subfigures(1, len(SETTINGS)), runs, layers=2)


def draw_more_layers(runs):
    """Draws figure 6: the same of six layers a network."""
    figure = new_figure(15, 14)
    return _draw(figure, figure.subfigures(len(SETTINGS), 1), runs, layers=6)


def caption_two_layers(runs):
    """Returns the caption of figure 3."""
    return _caption(runs, "two layers, at a third and two thirds of the depth")


def caption_more_layers(runs):
    """Returns the caption of figure 6."""
    return _caption(runs, "six layers at equal distances in depth")


def _draw(figure, parts, runs, layers):
    for part, setting, letter in zip(parts, SETTINGS, "abb", strict=True):
        part.suptitle(f"({letter}) {setting.title}", fontsize="medium")
        _draw_layers(part, runs, setting, layers)
    return finish(
        figure,
        line_entries(STYLES[norm] for norm in NORMS),
        captions.describe(runs, SETTINGS, NORMS, "ics"),
    )


def _draw_layers(figure, runs, setting, count):
    records = {norm: setting.records(runs, norm, "ics") for norm in NORMS}
    names = linear_layers(records["none"][0], "none")
    layers = spread(names, count)
    cosines, differences = figure.subplots(2, len(layers), sharex=True, squeeze=False)
    for number, ((position, layer), cosine, difference) in enumerate(
        zip(layers, cosines, differences, strict=True)
    ):
        for norm in NORMS:
            shown = [of_layer(record, layer) for record in records[norm]]
            draw_line(cosine, shown, "cosine", STYLES[norm])
            draw_line(difference, shown, "l2", STYLES[norm])
        title = f"{layer} ({position} of {len(names)})"
        over_steps(cosine, title, "" if number else "cosine", xlabel="")
        over_steps(difference, "", "" if number else r"$\ell_2$ difference", log=True)
        cosine.set_ylim(-1.05, 1.05)


def _caption(runs, layers):
    return (
        "Internal covariate shift (definition 2.1): cosine (ideally 1) and l2 "
        "difference (ideally 0) of a layer's gradient before and after the update of "
        f"the layers before it, for {layers}, counting layers with weights other than "
        "normalizations. "
        + captions.describe_seeds(runs, SETTINGS, NORMS, "ics")
        + captions.describe(runs, SETTINGS, NORMS, "ics")
    )
