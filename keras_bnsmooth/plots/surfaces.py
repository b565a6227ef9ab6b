"""Panels of loss surfaces: contours, a surface in three dimensions, profiles."""

import numpy as np

from keras_bnsmooth.plots.drawing import set_log_scale

_COLORS = "viridis"
# Losses that differ by more than this factor are shown on a logarithmic scale.
_WIDE = 10
# What a coordinate along each direction is.
_AXES = {
    "gradient": "learning rate of a gradient step",
    "update": "steps of the optimizer",
    "random": "random direction",
    "filter_normalized_random": "filter-normalized random direction",
}


def draw_contour(axes, surface):
    """Draws filled contours of a `LossSurface` of a plane, and a dot at its origin.

    Where the loss is not finite, the axes stay gray.

    Args:
        axes: Where to draw.
        surface: A `LossSurface`.

    Returns:
        The filled contours, for a color bar.
    """
    (a, b), losses = surface.coordinates, np.ma.masked_invalid(surface.losses.T)
    log = is_wide(losses)
    levels = np.geomspace(losses.min(), losses.max(), 20) if log else 20
    axes.set_facecolor("#dddddd")
    filled = axes.contourf(
        a, b, losses, levels, cmap=_COLORS, norm="log" if log else None
    )
    lines = axes.contour(
        a, b, losses, filled.levels[2:-1:3], colors="white", linewidths=0.7
    )
    axes.clabel(lines, fmt="%.3g", fontsize=7)
    if a.min() <= 0 <= a.max() and b.min() <= 0 <= b.max():
        axes.plot(0, 0, "o", color="white", markeredgecolor="black", markersize=5)
    axes.set(xlabel=_label(surface, 0), ylabel=_label(surface, 1))
    return filled


def draw_surface(axes, surface):
    """Draws a `LossSurface` of a plane on three-dimensional axes."""
    losses = np.ma.masked_invalid(surface.losses)
    log = is_wide(losses)
    losses = (np.ma.log10(losses) if log else losses).filled(np.nan)
    axes.plot_surface(
        *np.meshgrid(*surface.coordinates, indexing="ij"),
        losses,
        cmap=_COLORS,
        vmin=np.nanmin(losses),
        vmax=np.nanmax(losses),
        rcount=100,
        ccount=100,
        edgecolor=(0, 0, 0, 0.25),
        linewidth=0.3,
    )
    for number, name in enumerate("xy"):
        axes.set(**{f"{name}label": _label(surface, number)})
    axes.set_zlabel(r"$\log_{10}$ loss" if log else "loss")
    axes.locator_params(nbins=5)
    axes.tick_params(labelsize=8)
    axes.set_box_aspect(None, zoom=0.88)


def draw_profiles(axes, surfaces, styles):
    """Draws the loss along lines; between two models, also the line without a barrier.

    Args:
        axes: Where to draw.
        surfaces: Dict from label to `LossSurface` of a line.
        styles: Dict from label to `Style`.
    """
    lines = {}
    for label, surface in surfaces.items():
        order = np.argsort(surface.coordinates[0])
        coordinates, losses = surface.coordinates[0][order], surface.losses[order]
        losses = np.where(np.isfinite(losses), losses, np.nan)
        (line,) = axes.plot(coordinates, losses, **styles[label].line)
        if np.isfinite(surface.barrier):
            ends = [losses[coordinates == end][0] for end in (0, 1)]
            between = coordinates[(coordinates >= 0) & (coordinates <= 1)]
            straight = np.interp(between, (0, 1), ends)
            axes.plot(between, straight, ":", color=line.get_color(), linewidth=1)
            label = f"{label}, barrier {surface.barrier:.3g}".lstrip(", ")
        lines[label] = line
    if any(lines):
        axes.legend(lines.values(), lines, fontsize="small", handlelength=3.2)
    if is_wide(np.concatenate([surface.losses for surface in surfaces.values()])):
        set_log_scale(axes, "y")
    names = dict.fromkeys(_label(surface, 0) for surface in surfaces.values())
    axes.set(xlabel=" / ".join(names), ylabel="loss")
    axes.grid(alpha=0.3)


def _label(surface, number):
    name = surface.directions[number]
    if name.startswith("to "):
        return f"from this model (0) {name} (1)"
    return _AXES.get(name, name)


def is_wide(losses):
    """Returns whether losses are positive and differ by more than a factor of ten."""
    finite = losses[np.isfinite(losses)]
    return bool(finite.size) and bool(finite.max() > _WIDE * finite.min() > 0)
