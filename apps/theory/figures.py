"""Pictures: left side against right side, and the terms of Theorem 4.1 by layer."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from apps.theory.check import Result

# Okabe and Ito's blue and vermilion; the markers tell them apart in black and white.
HOLDS = {"marker": "o", "s": 9, "facecolors": "none", "edgecolors": "#0072B2"}
FAILS = {"marker": "x", "s": 14, "color": "#D55E00"}
POINTS = 1000


def draw_inequalities(results: list[Result], directory: Path) -> list[Path]:
    """Draws one PNG per statement that has inequalities, a panel for each form.

    Only instances that meet the assumptions are drawn, at most `POINTS` of them.
    """
    paths = []
    for name in dict.fromkeys(result.name for result in results):
        forms = [
            result
            for result in results
            if result.name == name and result.relation != "==" and result.right.any()
        ]
        if forms:
            path = directory / f"{_file_name(name)}.png"
            _draw_statement(name, forms).savefig(path, dpi=130)
            paths.append(path)
    return paths


def _draw_statement(name: str, forms: list[Result]) -> Figure:
    columns = min(len(forms), 3)
    rows = -(-len(forms) // columns)
    figure = Figure(figsize=(4.1 * columns, 4.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, result in zip(panels, forms, strict=False):
        _draw_form(axes, result)
    for axes in panels[len(forms) :]:
        axes.set_axis_off()
    figure.suptitle(f"{name}: left side against right side")
    markers = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=style["marker"],
            color=color,
            markerfacecolor="none",
            label=label,
        )
        for style, color, label in (
            (HOLDS, HOLDS["edgecolors"], "left \u2264 right: holds"),
            (FAILS, FAILS["color"], "fails"),
        )
    ]
    figure.legend(handles=markers, loc="outside lower center", ncols=2)
    return figure


def _draw_form(axes, result: Result) -> None:
    chosen = np.flatnonzero(result.assumed)
    # Evenly over the instances, which are sorted by batch size and loss.
    chosen = chosen[:: -(-len(chosen) // POINTS) or 1]
    left, right, holds = (
        array[chosen] for array in (result.left, result.right, result.holds)
    )
    values = np.concatenate([left, right])
    limit = 3 * np.abs(values).max(initial=1e-30)
    # Linear between -small and small, logarithmic outside.
    nonzero = np.abs(values[values != 0])
    small = np.quantile(nonzero, 0.05) if len(nonzero) else 1.0
    line = np.concatenate(
        [-np.geomspace(limit, small, 50), np.geomspace(small, limit, 50)]
    )
    axes.plot(line, line, color="black", linewidth=0.8, zorder=3)
    for style, which in ((HOLDS, holds), (FAILS, ~holds)):
        axes.scatter(right[which], left[which], linewidths=0.7, **style)
    axes.set_xscale("symlog", linthresh=small)
    axes.set_yscale("symlog", linthresh=small)
    axes.set(
        xlabel="right side",
        ylabel="left side",
        xlim=(-limit if (right < 0).any() else 0, limit),
        ylim=(-limit if (left < 0).any() else 0, limit),
    )
    _thin_ticks(axes.xaxis, small, limit, signed=(right < 0).any())
    _thin_ticks(axes.yaxis, small, limit, signed=(left < 0).any())
    failures = len(result.counterexamples)
    axes.set_title(
        f"{result.form}\nfails on {failures:,} of {int(result.assumed.sum()):,}",
        fontsize="small",
    )


def _thin_ticks(axis, small: float, limit: float, signed: bool) -> None:
    """About three powers of ten on each side of 0."""
    low, high = np.ceil(np.log10(small)), np.floor(np.log10(limit))
    step = max(1, int(np.ceil((high - low) / 3)))
    powers = 10.0 ** np.arange(high, low, -step)
    axis.set_ticks([*(-powers if signed else []), 0, *powers[::-1]])
    axis.set_ticks([], minor=True)
    axis.set_tick_params(labelsize="small")


def draw_network(name: str, rows: list[dict], path: Path) -> Path:
    """Draws the terms of Theorem 4.1 over the layers of a trained network.

    Args:
        name: of the network.
        rows: `network.summarize` of its layers.
        path: of the PNG.

    Returns:
        The path.
    """
    figure = Figure(figsize=(max(6.4, 0.36 * len(rows)), 5.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    position = np.arange(len(rows))
    for key, label, style in (
        ("scale", "$\\gamma^2/\\sigma^2$", {"color": "#D55E00", "marker": "s"}),
        (
            "smoothing",
            "all together: $\\|\\nabla_y\\hat L\\|^2/\\|\\nabla_z L\\|^2$",
            {"color": "black", "marker": "o", "linestyle": "--"},
        ),
    ):
        top.plot(position, [row[key] for row in rows], label=label, **style)
    top.axhline(1, color="gray", linewidth=0.8)
    top.set(yscale="log", ylabel="factor")
    top.margins(y=0.3)
    top.legend(loc="upper left", fontsize="small")
    top.set_title(f"{name}: the terms of Theorem 4.1, layer by layer")
    for key, label, style in (
        ("mean_share", "mean gradient", {"color": "#0072B2", "hatch": ""}),
        ("inner_share", "inner product", {"color": "#E69F00", "hatch": "///"}),
    ):
        offset = -0.2 if key == "mean_share" else 0.2
        bottom.bar(
            position + offset,
            [row[key] for row in rows],
            width=0.4,
            label=label,
            edgecolor="black",
            linewidth=0.5,
            **style,
        )
    bottom.set(ylabel="share of $\\|\\nabla_z L\\|^2$ removed", ylim=(0, None))
    bottom.set_xticks(position, [row["layer"] for row in rows], rotation=90)
    bottom.tick_params(axis="x", labelsize="small")
    bottom.legend(loc="upper left", fontsize="small")
    figure.savefig(path, dpi=130)
    return path


def _file_name(statement: str) -> str:
    return statement.lower().replace(" ", "_").replace(".", "_")
