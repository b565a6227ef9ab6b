"""Left against right side of the theorems, and the terms of Theorem 4.1 by layer."""

import numpy as np
from matplotlib.lines import Line2D

from keras_bnsmooth.plots.drawing import new_figure, save

# Okabe and Ito's blue and vermilion; the markers differ in black and white, too.
_HOLDS = {"marker": "o", "s": 9, "facecolors": "none", "edgecolors": "#0072B2"}
_FAILS = {"marker": "x", "s": 14, "color": "#D55E00"}
_POINTS = 1000


def draw_inequalities(statements, folder):
    """Draws a PNG per statement that has inequalities, with a panel for each form.

    Only instances that meet the assumptions are drawn, at most 1,000 of them.

    Args:
        statements: List of `Statement`.
        folder: Where to write, as in `theorem_4_1.png`.
    """
    for name in dict.fromkeys(statement.name for statement in statements):
        forms = [
            statement
            for statement in statements
            if statement.name == name
            and statement.relation != "=="
            and statement.right.any()
        ]
        if forms:
            stem = name.lower().replace(" ", "_").replace(".", "_")
            save(_inequalities_figure(name, forms), folder / f"{stem}.png")


def draw_network(name, rows, path):
    """Draws the terms of Theorem 4.1 over the layers of a trained network.

    Args:
        name: Of the network.
        rows: `network.summarize_layer` of its layers.
        path: Of the PNG.
    """
    figure = new_figure(max(6.4, 0.36 * len(rows)), 5.6)
    top, bottom = figure.subplots(2, 1, sharex=True)
    position = np.arange(len(rows))
    for key, label, style in (
        ("scale", r"$\gamma^2/\sigma^2$", {"color": "#D55E00", "marker": "s"}),
        (
            "smoothing",
            r"all together: $\|\nabla_y\hat L\|^2/\|\nabla_z L\|^2$",
            {"color": "black", "marker": "o", "linestyle": "--"},
        ),
    ):
        top.plot(position, [row[key] for row in rows], label=label, **style)
    top.axhline(1, color="gray", linewidth=0.8)
    top.set(yscale="log", ylabel="factor")
    top.margins(y=0.3)
    top.set_title(f"{name}: the terms of Theorem 4.1, layer by layer")
    for key, label, offset, color, hatch in (
        ("mean_share", "mean gradient", -0.2, "#0072B2", ""),
        ("inner_share", "inner product", 0.2, "#E69F00", "///"),
    ):
        bottom.bar(
            position + offset,
            [row[key] for row in rows],
            width=0.4,
            label=label,
            color=color,
            hatch=hatch,
            edgecolor="black",
            linewidth=0.5,
        )
    bottom.set(ylabel=r"share of $\|\nabla_z L\|^2$ removed", ylim=(0, None))
    bottom.set_xticks(position, [row["layer"] for row in rows], rotation=90)
    bottom.tick_params(axis="x", labelsize="small")
    for axes in (top, bottom):
        axes.legend(loc="upper left", fontsize="small")
    save(figure, path)


def _inequalities_figure(name, forms):
    columns = min(len(forms), 3)
    rows = -(-len(forms) // columns)
    figure = new_figure(4.1 * columns, 4.2 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, statement in zip(panels, forms, strict=False):
        _draw_sides(axes, statement)
    for axes in panels[len(forms) :]:
        axes.set_axis_off()
    figure.suptitle(f"{name}: left side against right side")
    markers = [
        Line2D([], [], ls="", marker=marker, color=color, mfc="none", label=label)
        for marker, color, label in (
            (_HOLDS["marker"], _HOLDS["edgecolors"], "left \u2264 right: holds"),
            (_FAILS["marker"], _FAILS["color"], "fails"),
        )
    ]
    figure.legend(handles=markers, loc="outside lower center", ncols=2)
    return figure


def _draw_sides(axes, statement):
    chosen = np.flatnonzero(statement.assumed)
    # Evenly spaced over the instances, which are sorted by batch size and loss.
    chosen = chosen[:: -(-len(chosen) // _POINTS) or 1]
    left, right = statement.left[chosen], statement.right[chosen]
    holds = statement.holds[chosen]
    values = np.concatenate([left, right])
    limit = 3 * np.abs(values).max(initial=1e-30)
    # The axes are linear between -small and small, logarithmic outside.
    nonzero = np.abs(values[values != 0])
    small = np.quantile(nonzero, 0.05) if len(nonzero) else 1.0
    powers = np.geomspace(small, limit, 50)
    diagonal = np.concatenate([-powers[::-1], powers])
    axes.plot(diagonal, diagonal, color="black", linewidth=0.8, zorder=3)
    for style, which in ((_HOLDS, holds), (_FAILS, ~holds)):
        axes.scatter(right[which], left[which], linewidths=0.7, **style)
    axes.set_xscale("symlog", linthresh=small)
    axes.set_yscale("symlog", linthresh=small)
    for side, values in (("x", right), ("y", left)):
        signed = (values < 0).any()
        axes.set(**{f"{side}lim": (-limit if signed else 0, limit)})
        _thin_ticks(getattr(axes, f"{side}axis"), small, limit, signed)
    axes.set(xlabel="right side", ylabel="left side")
    failures = len(statement.counterexamples)
    axes.set_title(
        f"{statement.form}\nfails on {failures:,} of {int(statement.assumed.sum()):,}",
        fontsize="small",
    )


def _thin_ticks(axis, small, limit, signed):
    """Puts about three powers of ten on each side of 0."""
    low, high = np.ceil(np.log10(small)), np.floor(np.log10(limit))
    step = max(1, int(np.ceil((high - low) / 3)))
    powers = 10.0 ** np.arange(high, low, -step)
    axis.set_ticks([*(-powers if signed else []), 0, *powers[::-1]])
    axis.set_ticks([], minor=True)
    axis.set_tick_params(labelsize="small")
