"""Figures, lines, bands and legends of all plots."""

import io
import textwrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from keras_bnsmooth.plots.columns import align_seeds, summarize

_FOOTER_CHARACTERS_PER_INCH = 16


class InlineFigure(Figure):
    """Figure without pyplot state that notebooks nevertheless display inline."""

    def _repr_png_(self):
        with io.BytesIO() as file:
            self.savefig(file, format="png")
            return file.getvalue()


def new_figure(width, height):
    """Returns an empty figure of this size in inches."""
    figure = InlineFigure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return figure


def save(figure, path):
    """Writes a PNG with a palette of 256 colors, a third of the size of true color."""
    with io.BytesIO() as file:
        figure.savefig(file, dpi=150)
        picture = Image.open(file).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)


def draw_line(axes, records, quantity, style, **arguments):
    """Draws a quantity over steps: the median over seeds, and their range shaded.

    Args:
        axes: Where to draw.
        records: List of records, one per seed.
        quantity: Name of a column [rows].
        style: A `Style`.
        **arguments: Passed on to `Axes.plot`.
    """
    steps, values = align_seeds(records, quantity)
    median, low, high = summarize(values)
    if np.isfinite(median).sum() == 1:
        # A line through a single point would be invisible.
        arguments = {"marker": "o", "markevery": 1} | arguments
    axes.plot(steps, median, label=style.label, **style.line | arguments)
    if len(records) > 1:
        axes.fill_between(
            steps, low, high, color=style.color, alpha=0.15, linewidth=0, zorder=1
        )


def draw_band(axes, records, quantity, style):
    """Draws the range of a quantity over step sizes; both ends are medians over seeds.

    Args:
        axes: Where to draw.
        records: List of records, one per seed.
        quantity: Name of a column [rows, step sizes].
        style: A `Style`.
    """
    steps, values = align_seeds(records, quantity)
    _, low, high = summarize(values, axis=2)
    ends = summarize(low)[0], summarize(high)[0]
    axes.fill_between(steps, *ends, label=style.label, **style.band)


def format_over_steps(axes, title="", ylabel="", log=False, xlabel="step"):
    """Formats axes that show something over training steps."""
    axes.set(title=title, ylabel=ylabel, xlabel=xlabel)
    if log:
        set_log_scale(axes, "y")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.grid(alpha=0.3)


def set_log_scale(axes, names):
    """Makes the axes "x", "y" or "xy" logarithmic, unless nothing positive is drawn.

    Matplotlib finds no ticks for a logarithmic axis without positive values.
    """
    for name in names:
        if np.isfinite(getattr(axes, f"{name}axis").get_minpos()):
            axes.set(**{f"{name}scale": "log"})


def finish(figure, footer=""):
    """Adds a legend of all labels above the panels, and small print below them.

    Args:
        figure: The figure.
        footer: Small print; long lines are wrapped.

    Returns:
        The figure.
    """
    entries = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            # A run with a band and a line has one entry that shows both.
            entries.setdefault(label, {}).setdefault(type(handle), handle)
    if entries:
        figure.legend(
            [tuple(handles.values()) for handles in entries.values()],
            entries,
            loc="outside upper center",
            ncols=min(len(entries), max(1, int(figure.get_figwidth() / 1.7))),
            frameon=False,
            handlelength=3.2,
        )
    if footer:
        width = int(_FOOTER_CHARACTERS_PER_INCH * figure.get_figwidth())
        footer = textwrap.fill(footer, width)
        figure.supxlabel(footer, fontsize="x-small", color="#444444")
    return figure
