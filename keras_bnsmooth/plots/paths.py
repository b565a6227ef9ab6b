"""The path of training in its principal plane, and the loss along it."""

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bnsmooth.plots.drawing import format_over_steps
from keras_bnsmooth.plots.principal_plane import principal_plane
from keras_bnsmooth.plots.surfaces import draw_contour, is_wide
from keras_bnsmooth.probes import LossSurface, loss_surface
from keras_bnsmooth.records import snapshots

# Share of the loss, and of its range along the path, by which the plane may be off.
_TOLERANCE = 0.1
_OFF = "#D55E00"


def measure_path(
    record: dict[str, np.ndarray],
    folder: Path,
    model: keras.Model,
    resolution: int,
    **options: Any,
) -> tuple[np.ndarray, LossSurface, np.ndarray, np.ndarray]:
    """Projects a path on its principal plane, and measures the loss there and along it.

    Args:
        record: What `TrajectoryProbe` recorded, T snapshots.
        folder: The snapshots.
        model: The model, at which the path ends.
        resolution: Points of the surface along each direction.
        **options: Arguments of `loss_surface`.

    Returns:
        The coordinates of the path and of its end [T + 1, 2], the loss in the plane,
        that at the projections of the snapshots [T], and that at the snapshots [T].
    """
    steps, variables = record["step"], model.trainable_variables
    _check_same_model(record, model)
    shapes = [tuple(v.shape) for v in variables]
    cuts = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1]

    def split(flat):
        parts = zip(np.split(flat, cuts), shapes, strict=True)
        return [part.reshape(shape) for part, shape in parts]

    end = np.concatenate([np.ravel(keras.ops.convert_to_numpy(v)) for v in variables])
    end = end.astype(np.float64)
    directions, coordinates, shares = principal_plane(
        lambda t, part: snapshots.read(folder, steps[t], part), len(steps), end
    )
    margin = 0.15 * np.ptp(coordinates, axis=0)
    limits = coordinates.min(0) - margin, coordinates.max(0) + margin
    plane: dict[str, Any] = {
        "directions": [split(direction) for direction in directions],
        "coordinates": [*np.linspace(*limits, resolution).T],
    }
    surface = loss_surface(model, **plane, **options)
    names = [f"component {k + 1}, {shares[k]:.1%} of the variance" for k in (0, 1)]
    surface = dataclasses.replace(surface, directions=tuple(names))
    in_plane, measured = np.empty((2, len(steps)))
    for t, step in enumerate(steps):
        weights = snapshots.read(folder, step)
        to_plane = split(end + coordinates[t] @ directions - weights)
        line = {"directions": [to_plane], "coordinates": [1.0], "verbose": 0}
        r = loss_surface(model, origin=split(weights), **options | line)
        in_plane[t], measured[t] = r.losses[0], r.loss
    return coordinates, surface, in_plane, measured


def draw_path(figure, steps, coordinates, surface, in_plane, measured):
    """Draws a path over the loss in its plane, and the loss along it over steps.

    Arguments are what `measure_path` returns, and the steps of the snapshots. Points of
    the path have the color of the loss at the snapshot.
    """
    plane, losses = figure.subplots(1, 2, width_ratios=[1.3, 1])
    size = np.fmin(np.abs(measured), np.ptp(measured))
    off = ~(np.abs(in_plane - measured) <= _TOLERANCE * size)
    filled = draw_contour(plane, surface)
    figure.colorbar(filled, ax=plane, label="loss in the plane", format="%.3g")
    x, y = coordinates.T
    plane.plot(x, y, color="black", linewidth=0.8)
    color = {"c": measured, "cmap": filled.cmap, "norm": filled.norm}
    edges = np.where(off, _OFF, "black")
    plane.scatter(x[:-1], y[:-1], s=26, edgecolors=edges, zorder=3, **color)
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.7, "lw": 0}
    for point, name in ((0, f"step {steps[0]:,}"), (-1, "end")):
        where = {"xytext": (7, 7), "textcoords": "offset points", "fontsize": 8}
        plane.annotate(name, (x[point], y[point]), **where, bbox=box)
    losses.plot(steps, measured, "k.-", label="measured")
    losses.plot(steps, in_plane, ".--", color="#0072B2", label="in the plane")
    label = f"plane off by more than {_TOLERANCE:.0%}: {off.sum()} of {len(off)} points"
    losses.plot(steps[off], in_plane[off], "o", c=_OFF, fillstyle="none", label=label)
    log = is_wide(np.concatenate([measured, in_plane]))
    format_over_steps(losses, "loss along the path", log=log)


def _check_same_model(record, model):
    here = snapshots.describe(model.trainable_variables)
    for step, there in zip(record["step"], record["variables"], strict=True):
        for held, own in itertools.zip_longest(there, here, fillvalue="nothing"):
            # Without the numbers by which Keras tells layers of one class apart.
            if re.sub(r"_\d+/", "/", held) != re.sub(r"_\d+/", "/", own):
                raise ValueError(
                    f"the snapshot at step {step} is not one of {model.name}: it holds "
                    f"{held}, the model {own}; pass the model that was trained."
                )
