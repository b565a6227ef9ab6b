"""Internal covariate shift over training (figures 3 and 6)."""

from apps.figures.paper import BOTH, Shown, paper_figure
from apps.settings import DLN, VGG, linear_layers
from keras_bnsmooth.plots import drawing, panels
from keras_bnsmooth.plots.columns import evenly_spaced, layer_names
from keras_bnsmooth.plots.styles import STYLES

_SETTINGS = (VGG, DLN)
_SHIFT = (
    "Internal covariate shift (definition 2.1): cosine (ideally 1) and l2 difference "
    "(ideally 0) of a layer's gradient before and after the update of the layers "
    "before it, for ",
    ", counting layers with weights other than normalizations. ",
)
_TWO = (
    "Internal covariate shift of two layers",
    "two layers, at one third and two thirds of the depth".join(_SHIFT),
    Shown.describe_seeds,
)
_SIX = (
    "Internal covariate shift of more layers",
    "six layers, evenly spaced in depth".join(_SHIFT),
    Shown.describe_seeds,
)


@paper_figure(3, _TWO, _SETTINGS, BOTH, ("ics",))
def draw_two_layers(shown):
    """Draws cosine and l2 difference of gradients, two layers per network."""
    figure = drawing.new_figure(12, 5.8)
    _draw(figure.subfigures(1, len(_SETTINGS)), shown, count=2)
    return figure


@paper_figure(6, _SIX, _SETTINGS, BOTH, ("ics",))
def draw_six_layers(shown):
    """Draws the same for six layers per network."""
    figure = drawing.new_figure(15, 9.5)
    _draw(figure.subfigures(len(_SETTINGS), 1), shown, count=6)
    return figure


def _draw(parts, shown, count):
    for part, setting, letter in zip(parts, _SETTINGS, "ab", strict=True):
        part.suptitle(f"({letter}) {setting.title}", fontsize="medium")
        records = shown.records(setting)
        names = linear_layers(layer_names(records["none"][0]), "none")
        layers = {
            f"{layer} ({number} of {len(names)})": dict.fromkeys(records, layer)
            for number, layer in evenly_spaced(names, count)
        }
        panels.draw_covariate_shift(part, records, STYLES, layers)
