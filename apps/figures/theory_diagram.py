"""The two networks of the theory, as a diagram (figure 5)."""

import itertools

from matplotlib.patches import Circle, FancyBboxPatch

from apps.figures.paper import paper_figure
from keras_bnsmooth.plots.drawing import new_figure
from keras_bnsmooth.plots.styles import STYLES

_TEXT = (
    "The two networks of the theory",
    "The two networks that the theory compares: (a) without normalization, (b) with "
    "BatchNorm after the fully connected layer W, which normalizes each activation y "
    "over the batch to y-hat, then scales and shifts it to z. All weights have the "
    "same values in both.",
)
_BOX = {"boxstyle": "round,pad=0.02,rounding_size=0.08", "linewidth": 1.3}
_GRAY = "#E8E8E8"
_BATCH_NORM = (
    "BatchNorm\n"
    r"$\hat{y} = (y - \mu) / \sigma$" + "\n" + r"$z = \gamma \hat{y} + \beta$"
)
# Width, height, text, face color, edge color and font size.
_BOXES = {
    "W": (0.9, 1.1, "$W$", _GRAY, "k", 14),
    "bn": (2.3, 1.3, _BATCH_NORM, "#CDE3F1", STYLES["bn"].color, 10),
    "loss": (1.8, 1.1, "rest of the\nnetwork, loss", _GRAY, "k", 10),
}
_NODES = {"x": 0.6, "W": 2.1, "y": 3.6, "bn": 5.55, "z": 7.5, "loss": 9.2}


@paper_figure(5, _TEXT)
def draw_theory_networks(_):
    """Draws (a) the vanilla network, (b) the one with BatchNorm after layer W."""
    figure = new_figure(9.5, 4)
    vanilla, normalized = figure.subplots(2, 1)
    _draw_chain(vanilla, [name for name in _NODES if name not in ("bn", "z")])
    vanilla.set_title("(a) vanilla network", loc="left", fontsize="medium")
    _draw_chain(normalized, _NODES)
    normalized.set_title("(b) with a BatchNorm layer", loc="left", fontsize="medium")
    return figure


def _draw_chain(axes, names):
    """Draws values as circles, layers as boxes, and arrows between them."""
    ends = [
        (_draw_box if name in _BOXES else _draw_value)(axes, name, _NODES[name])
        for name in names
    ]
    for (_, start), (end, _) in itertools.pairwise(ends):
        axes.annotate(
            "", (end, 0), (start, 0), arrowprops={"arrowstyle": "-|>", "color": "k"}
        )
    axes.set(xlim=(0, 10.4), ylim=(-0.8, 0.8), aspect="equal")
    axes.set_axis_off()


def _draw_value(axes, name, position):
    axes.add_patch(Circle((position, 0), 0.33, facecolor="white", edgecolor="k"))
    axes.text(position, 0, f"${name}$", ha="center", va="center", fontsize=13)
    return position - 0.33, position + 0.33


def _draw_box(axes, name, position):
    width, height, text, face, edge, fontsize = _BOXES[name]
    corner = position - width / 2, -height / 2
    axes.add_patch(
        FancyBboxPatch(corner, width, height, facecolor=face, edgecolor=edge, **_BOX)
    )
    axes.text(position, 0, text, ha="center", va="center", fontsize=fontsize)
    return position - width / 2, position + width / 2
