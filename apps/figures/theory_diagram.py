"""The two networks of the theory, as a diagram (figure 5)."""

import itertools

from matplotlib.patches import Circle, FancyBboxPatch

from apps.figures.drawing import new_figure
from apps.figures.styles import STYLES

_BOX = {"boxstyle": "round,pad=0.02,rounding_size=0.08", "linewidth": 1.3}
_LAYER = "#E8E8E8"
_BN = "#CDE3F1"


def draw(runs=None):
    """Draws figure 5: (a) the vanilla network, (b) with BatchNorm after layer W.

    Args:
        runs: Not used, as the networks are those of the theorems.
    """
    figure = new_figure(9.5, 4)
    vanilla, normalized = figure.subplots(2, 1)
    _draw_chain(vanilla, [("x", 0.6), ("W", 2.1), ("y", 3.6), ("loss", 9.2)])
    vanilla.set_title("(a) vanilla network", loc="left", fontsize="medium")
    _draw_chain(
        normalized,
        [
            ("x", 0.6),
            ("W", 2.1),
            ("y", 3.6),
            ("bn", 5.55),
            ("z", 7.5),
            ("loss", 9.2),
        ],
    )
    normalized.set_title("(b) with a BatchNorm layer", loc="left", fontsize="medium")
    return figure


def caption(runs=None):
    """Returns the caption of figure 5.

    Args:
        runs: Not used.
    """
    return (
        "The two networks that the theory compares: (a) without normalization, (b) "
        "with BatchNorm after the fully connected layer W, which normalizes each "
        "activation y over the batch to y-hat and scales and shifts it to z. All "
        "weights have the same values in both."
    )


def _draw_chain(axes, nodes):
    """Draws values as circles and layers as boxes at their abscissas, and arrows."""
    draw = {"W": _draw_layer, "bn": _draw_batch_norm, "loss": _draw_loss}
    ends = [
        draw.get(name, _draw_value)(axes, name, position) for name, position in nodes
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


def _draw_layer(axes, name, position):
    return _draw_box(axes, position, 0.9, 1.1, f"${name}$", _LAYER, "k", fontsize=14)


def _draw_batch_norm(axes, name, position):
    text = (
        "BatchNorm\n"
        r"$\hat{y} = (y - \mu) / \sigma$" + "\n" + r"$z = \gamma \hat{y} + \beta$"
    )
    return _draw_box(axes, position, 2.3, 1.3, text, _BN, STYLES["bn"].color)


def _draw_loss(axes, name, position):
    text = "rest of the\nnetwork, loss"
    return _draw_box(axes, position, 1.8, 1.1, text, _LAYER, "k")


def _draw_box(axes, position, width, height, text, color, edge, fontsize=10):
    left, bottom = position - width / 2, -height / 2
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom), width, height, facecolor=color, edgecolor=edge, **_BOX
        )
    )
    axes.text(position, 0, text, ha="center", va="center", fontsize=fontsize)
    return left, left + width
