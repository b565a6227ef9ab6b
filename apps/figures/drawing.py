"""Lines and bands over training steps, and what stands around them."""

import io
import textwrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from apps.figures.seeds import over_seeds, summarize

# Of the small print.
_CHARACTERS_PER_INCH = 16


def new_figure(width, height):
    """Returns an empty figure of this size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return figure


def save(figure, path):
    """Writes a PNG of 256 colours, a third as large as with all that there are."""
    with io.BytesIO() as file:
        figure.savefig(file, dpi=150)
        picture = Image.open(file).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)


def draw_line(axes, records, quantity, style, **arguments):
    """Draws a quantity over steps: the median of seeds, in the range of seeds.

    Args:
        axes: Where to draw.
        records: List of records, one a seed.
        quantity: Name of a column [rows].
        style: A `Style`.
        **arguments: Of `Axes.plot`.
    """
    steps, values = over_seeds(records, quantity)
    median, low, high = summarize(values)
    if np.isfinite(median).sum() == 1:
        # A line of one point would not be seen.
        arguments = {"marker": "o", "markevery": 1} | arguments
    axes.plot(steps, median, label=style.label, **style.line | arguments)
    if len(records) > 1:
        axes.fill_between(
            steps, low, high, color=style.color, alpha=0.15, linewidth=0, zorder=1
        )


def draw_band(axes, records, quantity, style):
    """Draws the range of a quantity over step sizes; medians over seeds.

    Args:
        axes: Where to draw.
        records: List of records, one a seed.
        quantity: Name of a column [rows, step sizes].
        style: A `Style`.
    """
    steps, values = over_seeds(records, quantity)
    _, low, high = summarize(values, axis=2)
    axes.fill_between(
        steps,
        summarize(low)[0],
        summarize(high)[0],
        label=style.label,
        **style.band,
    )


def over_steps(axes, title="", ylabel="", log=False, xlabel="step"):
    """Sets up axes that have been drawn on, whose abscissa is the step."""
    axes.set(title=title, ylabel=ylabel, xlabel=xlabel)
    if log:
        set_log(axes, "y")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.grid(alpha=0.3)


def set_log(axes, names):
    """Makes axes logarithmic in "x", "y" or "xy", unless nothing positive is drawn.

    Where every value of a record is NaN, matplotlib would find no ticks.
    """
    for name in names:
        if np.isfinite(getattr(axes, f"{name}axis").get_minpos()):
            axes.set(**{f"{name}scale": "log"})


def line_entries(styles):
    """Returns the legend's entries, (handle, label), for lines of these styles."""
    return [(_line(style), style.label) for style in styles]


def band_entries(styles):
    """Returns the legend's entries for bands and lines of these styles."""
    return [((Patch(**style.band), _line(style)), style.label) for style in styles]


def finish(figure, entries=(), footer=""):
    """Puts a legend above the panels and a line on the runs below them.

    Args:
        figure: What to finish.
        entries: List of (handle, label).
        footer: Small print; long lines are broken.

    Returns:
        The figure.
    """
    if entries:
        handles, labels = zip(*entries, strict=True)
        columns = max(1, int(figure.get_figwidth() / 1.7))
        figure.legend(
            handles,
            labels,
            loc="outside upper center",
            ncols=min(len(entries), columns),
            frameon=False,
            handlelength=3.2,
        )
    if footer:
        width = int(_CHARACTERS_PER_INCH * figure.get_figwidth())
        footer = textwrap.fill(footer, width)
        figure.supxlabel(footer, fontsize="x-small", color="#444444")
    return figure


def _line(style):
    return Line2D([], [], **style.line)
