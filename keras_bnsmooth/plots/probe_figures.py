"""One figure per probe, from run folders or from the histories of probes."""

from __future__ import annotations

import os
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np

from keras_bnsmooth.plots.columns import evenly_spaced, layer_names
from keras_bnsmooth.plots.styles import assign_styles
from keras_bnsmooth.probes.arguments import to_batches
from keras_bnsmooth.records import json_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keras_bnsmooth.callbacks import ProbeCallback, TrajectoryProbe
    from keras_bnsmooth.probes import LossSurface, Spectrum

    Run: TypeAlias = str | os.PathLike[str] | ProbeCallback | Mapping[str, Any]
    Runs: TypeAlias = Run | Mapping[str, Run]
    Layers: TypeAlias = Sequence[str] | Mapping[str, Sequence[str]] | None


def landscape(runs: Runs) -> Figure:
    """Draws the loss landscape along the probe's direction over training.

    The three panels are those of figure 4 of the paper: the range of the loss over the
    step sizes, the range of the l2 change of the gradient, and the effective
    beta-smoothness. Its points are hollow where it is saturated, see
    `kb.probes.Landscape`: it is then about what the dotted line shows, which is
    1 / smallest step size along the gradient.
    Changes of the gradient that may be rounding errors and values that are not finite
    are left out.

    Args:
        runs: What `LandscapeProbe` recorded: a dict from label to run, or a single
            run. A run is a probe, its `history`, or a path: the folder given to the
            probe as `log_dir`, or to a program as `--workdir`, or the `.jsonl` file of
            a probe with another name. A label that names a normalization, such as
            `"bn"`, gets its style in the paper's figures.

    Returns:
        A matplotlib `Figure`, which notebooks display and `savefig` writes.

    Raises:
        FileNotFoundError: There is no such folder, or it lacks the record.
        ModuleNotFoundError: Matplotlib is not installed.
        ValueError: There is nothing to draw, or it was not recorded by this probe.

    Example:
    ```python
    probe = kb.LandscapeProbe((x[:128], y[:128]), every=50)
    model.fit(x, y, batch_size=128, epochs=10, callbacks=[probe])
    figure = kb.plots.landscape({"bn": probe, "none": "runs/none"})
    figure.savefig("landscape.png")
    ```
    """
    records = _read_all(runs, "landscape", ("losses", "gradient_distances", "beta"))
    return draw_landscape(records, _styles(records))


def draw_landscape(records, styles, footer=""):
    """Returns the figure of `landscape` for records that have been read.

    Args:
        records: Dict from label to record.
        styles: Dict from label to `Style`.
        footer: Small print.
    """
    drawing, panels = _drawing()
    figure = drawing.new_figure(13, 3.8)
    loss, gradient, beta = figure.subplots(1, 3)
    one_each = {label: [record] for label, record in records.items()}
    panels.draw_loss_band(loss, one_each, styles, ylabel="loss, min to max over steps")
    panels.draw_gradient_band(gradient, one_each, styles)
    panels.draw_beta(beta, one_each, styles)
    return drawing.finish(figure, footer)


def covariate_shift(runs: Runs, layers: Layers = None) -> Figure:
    """Draws the internal covariate shift of a few layers over training.

    One column per layer, as in figures 3 and 6 of the paper: the cosine (1 means no
    shift) and the l2 difference (0 means no shift) of the layer's gradient before and
    after the update of the layers before it.

    Args:
        runs: What `ICSProbe` recorded; see `landscape`.
        layers: Names of layers, or a dict from label to the names in that run, paired
            in order. None selects three evenly spaced layers among those that all
            runs share; runs without a common name are paired by position if they
            have equally many layers.

    Returns:
        A matplotlib `Figure`, which notebooks display and `savefig` writes.

    Raises:
        FileNotFoundError: There is no such folder, or it lacks the record.
        ModuleNotFoundError: Matplotlib is not installed.
        ValueError: There is nothing to draw, it was not recorded by this probe, or a
            run lacks a layer.

    Example:
    ```python
    probe = kb.ICSProbe((x[:128], y[:128]), every=50, log_dir="runs/bn")
    model.fit(x, y, batch_size=128, epochs=10, callbacks=[probe])
    figure = kb.plots.covariate_shift("runs/bn", layers=["dense_1", "dense_2"])
    ```
    """
    records = _read_all(runs, "ics", ("layers", "l2", "cosine"))
    # Nothing comes before the first layer, so it has no covariate shift.
    chosen = _choose_layers(records, layers, count=3, skip=1)
    drawing, panels = _drawing()
    styles = _styles(records)
    figure = drawing.new_figure(max(5.0, 3.6 * len(chosen)), 5.6)
    panels.draw_covariate_shift(
        figure,
        {label: [record] for label, record in records.items()},
        styles,
        {" / ".join(dict.fromkeys(names.values())): names for names in chosen},
    )
    return drawing.finish(figure)


def layer_scales(runs: Runs, layers: Layers = None) -> Figure:
    """Draws how far updates move the weights of a few layers over training.

    One column per layer: the length of the update over that of the weights, the
    effective learning rate lr / ||W||^2 (empty for layers that no normalization
    follows), the norm of the weights, and their distance from the initial weights.

    Args:
        runs: What `LayerScaleProbe` recorded; see `landscape`.
        layers: See `covariate_shift`; None selects three layers, among those that have
            an effective learning rate in any of the runs if there are such.

    Returns:
        A matplotlib `Figure`, which notebooks display and `savefig` writes.

    Raises:
        FileNotFoundError: There is no such folder, or it lacks the record.
        ModuleNotFoundError: Matplotlib is not installed.
        ValueError: There is nothing to draw, it was not recorded by this probe, or a
            run lacks a layer.

    Example:
    ```python
    probe = kb.LayerScaleProbe(every=50)
    model.fit(x, y, batch_size=128, epochs=10, callbacks=[probe])
    figure = kb.plots.layer_scales({"bn": probe, "none": "runs/none"})
    ```
    """
    quantities = ("update_ratio", "effective_learning_rate", "weight_norm")
    records = _read_all(runs, "layer_scales", ("layers", *quantities))
    if layers is None:
        layers = _normalized_layers(records)
    chosen = _choose_layers(records, layers, count=3)
    drawing, panels = _drawing()
    figure = drawing.new_figure(max(5.0, 3.6 * len(chosen)), 9.4)
    panels.draw_layer_scales(
        figure,
        {label: [record] for label, record in records.items()},
        _styles(records),
        {" / ".join(dict.fromkeys(names.values())): names for names in chosen},
    )
    return drawing.finish(figure)


def sharpness(runs: Runs) -> Figure:
    """Draws the curvature of the loss over training.

    The three panels show the sharpness with 2 / learning rate, the edge of stability of
    gradient descent; the critical learning rate with the learning rate; and the
    curvature along the gradient, on an axis that is linear around zero and logarithmic
    beyond. Values that are not finite are left out.

    Args:
        runs: What `SharpnessProbe` recorded; see `landscape`.

    Returns:
        A matplotlib `Figure`, which notebooks display and `savefig` writes.

    Raises:
        FileNotFoundError: There is no such folder, or it lacks the record.
        ModuleNotFoundError: Matplotlib is not installed.
        ValueError: There is nothing to draw, or it was not recorded by this probe.

    Example:
    ```python
    probe = kb.SharpnessProbe((x[:128], y[:128]), every=50)
    model.fit(x, y, batch_size=128, epochs=10, callbacks=[probe])
    figure = kb.plots.sharpness({"bn": probe, "none": "runs/none"})
    ```
    """
    quantities = ("learning_rate", "critical_learning_rate", "gradient_curvature")
    records = _read_all(runs, "sharpness", ("sharpness", *quantities))
    return draw_sharpness(records, _styles(records))


def draw_sharpness(records, styles, footer=""):
    """Returns the figure of `sharpness`; arguments are those of `draw_landscape`."""
    drawing, panels = _drawing()
    figure = drawing.new_figure(13, 3.8)
    sharpness, critical, curvature = figure.subplots(1, 3)
    one_each = {label: [record] for label, record in records.items()}
    panels.draw_sharpness(sharpness, one_each, styles)
    panels.draw_critical_learning_rate(critical, one_each, styles)
    panels.draw_gradient_curvature(curvature, one_each, styles)
    return drawing.finish(figure, footer)


def gradient_noise(runs: Runs, layers: Layers = None) -> Figure:
    """Draws the noise of the gradient over training.

    One column for all weights together and one per layer. From top to bottom: the noise
    scale with the batch size, the batch size beyond which the noise is smaller than the
    gradient; the estimated norm of the gradient, without its noise; and the mean cosine
    between the gradients of two batches. Values that are not finite, as the noise scale
    where noise hides the gradient, are left out.

    Args:
        runs: What `GradientNoiseProbe` recorded; see `landscape`.
        layers: See `covariate_shift`; None selects two layers.

    Returns:
        A matplotlib `Figure`, which notebooks display and `savefig` writes.

    Raises:
        FileNotFoundError: There is no such folder, or it lacks the record.
        ModuleNotFoundError: Matplotlib is not installed.
        ValueError: There is nothing to draw, it was not recorded by this probe, or a
            run lacks a layer.

    Example:
    ```python
    probe = kb.GradientNoiseProbe((x[:1024], y[:1024]), every=50)
    model.fit(x, y, batch_size=128, epochs=10, callbacks=[probe])
    figure = kb.plots.gradient_noise({"bn": probe, "none": "runs/none"})
    ```
    """
    quantities = ("signal", "noise_scale", "cosine")
    per_layer = (f"layer_{name}" for name in quantities)
    needed = ("batch_size", "layers", *quantities, *per_layer)
    records = _read_all(runs, "gradient_noise", needed)
    chosen = _choose_layers(records, layers, count=2)
    drawing, panels = _drawing()
    figure = drawing.new_figure(3.6 * (1 + len(chosen)), 7.4)
    panels.draw_gradient_noise(
        figure,
        {label: [record] for label, record in records.items()},
        _styles(records),
        {" / ".join(dict.fromkeys(names.values())): names for names in chosen},
    )
    return drawing.finish(figure)


def spectrum(results: Spectrum | Run | Mapping[str, Spectrum | Run]) -> Figure:
    """Draws the density of the eigenvalues of the Hessian, on a logarithmic axis.

    Args:
        results: What `kb.probes.spectrum` returned or `SpectrumProbe` recorded (see
            `landscape`), or a dict from label to it, all drawn in one panel. Of a
            record, up to four moments are drawn, each in its own style. The label of
            a `Spectrum` that names a normalization gets its style, see `landscape`.

    Returns:
        A matplotlib `Figure`, which notebooks display and `savefig` writes.

    Raises:
        FileNotFoundError: There is no such folder, or it lacks the record.
        ModuleNotFoundError: Matplotlib is not installed.
        ValueError: There is nothing to draw, or it is no spectrum.

    Example:
    ```python
    before = kb.probes.spectrum(model, x[:512], y[:512])
    model.fit(x, y, batch_size=128, epochs=10)
    after = kb.probes.spectrum(model, x[:512], y[:512])
    figure = kb.plots.spectrum({"start": before, "end": after})
    ```
    """
    labelled: Mapping[str, Any] = {"": results}
    if isinstance(results, Mapping) and "step" not in results:
        labelled = results
    spectra: dict[str, Any] = {}
    for label, result in labelled.items():
        if hasattr(result, "density"):
            spectra[str(label)] = result
        else:
            quantities = ("grid", "density", "size")
            spectra |= _moments(_read_all({str(label): result}, "spectrum", quantities))
    if not spectra:
        raise ValueError("there is nothing to draw: the dict of spectra is empty.")
    drawing, panels = _drawing()
    figure = drawing.new_figure(7, 4)
    panels.draw_spectrum(figure.subplots(), spectra, _styles(spectra))
    return drawing.finish(figure)


def _moments(records):
    """Returns a dict from label and step to spectrum, of up to four per record."""
    return {
        f"{label}, step {record['step'][t]}".removeprefix(", "): types.SimpleNamespace(
            **{name: record[name][t] for name in ("grid", "density", "size")}
        )
        for label, record in records.items()
        for t in np.unique(np.linspace(0, len(record["step"]) - 1, 4).astype(int))
    }


def activations(runs: Runs, layers: Layers = None) -> Figure:
    """Draws how the distributions of activations change over training.

    One row per layer and one column per run, as in figure 14 of the paper. A ridge is
    the histogram of one unit's values at a training step, with the first step at the
    bottom. All ridges have the same height; each panel has its own range of values.

    Args:
        runs: What `ActivationProbe` recorded; see `landscape`.
        layers: See `covariate_shift`; None selects two layers.

    Returns:
        A matplotlib `Figure`, which notebooks display and `savefig` writes.

    Raises:
        FileNotFoundError: There is no such folder, or it lacks the record.
        ModuleNotFoundError: Matplotlib is not installed.
        ValueError: There is nothing to draw, it was not recorded by this probe, or a
            run lacks a layer.

    Example:
    ```python
    probe = kb.ActivationProbe((x[:128], y[:128]), every=50)
    model.fit(x, y, batch_size=128, epochs=10, callbacks=[probe])
    figure = kb.plots.activations(probe, layers=["dense_1"])
    ```
    """
    records = _read_all(runs, "activations", ("layers", "units", "counts"))
    chosen = _choose_layers(records, layers, count=2)
    drawing, panels = _drawing()
    figure = drawing.new_figure(max(4.5, 2.7 * len(records)), 3.6 * len(chosen))
    panels.draw_distributions(
        figure,
        {label: [record] for label, record in records.items()},
        _styles(records),
        chosen,
    )
    return drawing.finish(figure)


def contour(surface: LossSurface) -> Figure:
    """Draws the loss on a plane as contours.

    On a logarithmic scale if losses differ by more than a factor of ten. A dot marks
    the weights through which the plane goes. Where the loss is not finite, it is gray.

    Args:
        surface: What `kb.probes.loss_surface` measured along two directions.

    Returns:
        A matplotlib `Figure`, which notebooks display and `savefig` writes.

    Raises:
        ModuleNotFoundError: Matplotlib is not installed.
        ValueError: It was measured along one direction.

    Example:
    ```python
    surface = kb.probes.loss_surface(model, (x, y))
    kb.plots.contour(surface).savefig("contour.png")
    kb.plots.surface_3d(surface).savefig("surface.png")
    ```
    """
    drawing, surfaces = _drawing_of({"": surface}, dimensions=2)
    figure = drawing.new_figure(6, 4.8)
    axes = figure.subplots()
    filled = surfaces.draw_contour(axes, surface)
    figure.colorbar(filled, ax=axes, label="loss", format="%.3g")
    return drawing.finish(figure, surface.note)


def surface_3d(surface: LossSurface) -> Figure:
    """Draws the loss on a plane as a surface in three dimensions.

    Arguments, returns and errors are those of `contour`. If losses differ by more than
    a factor of ten, the height is their logarithm. Where the loss is not finite, the
    surface has a hole.
    """
    drawing, surfaces = _drawing_of({"": surface}, dimensions=2)
    figure = drawing.new_figure(6.4, 5.2)
    surfaces.draw_surface(figure.add_subplot(projection="3d"), surface)
    return drawing.finish(figure, surface.note)


def profile(profiles: LossSurface | Mapping[str, LossSurface]) -> Figure:
    """Draws the loss on a line, or on several lines.

    Between two models, a dotted line joins the losses at both ends; the barrier is the
    largest height above it. The scale is as in `contour`; losses that are not finite
    are left out.

    Args:
        profiles: What `kb.probes.loss_surface` measured along one direction, or a dict
            from label to that.

    Returns:
        A matplotlib `Figure`, which notebooks display and `savefig` writes.

    Raises:
        ModuleNotFoundError: Matplotlib is not installed.
        ValueError: There is nothing to draw, or it was measured along two directions.

    Example:
    ```python
    barrier = kb.probes.loss_surface(model, (x, y), directions=other_model)
    figure = kb.plots.profile({"bn": barrier})
    ```
    """
    labelled = profiles if isinstance(profiles, Mapping) else {"": profiles}
    drawing, surfaces = _drawing_of(labelled, dimensions=1)
    figure = drawing.new_figure(6, 4.2)
    surfaces.draw_profiles(figure.subplots(), labelled, _styles(labelled))
    notes = [f"{name}: {s.note}".lstrip(": ") for name, s in labelled.items() if s.note]
    if any(np.isfinite(surface.barrier) for surface in labelled.values()):
        notes.append("Dotted: linear between the losses at both ends.")
    return drawing.finish(figure, " ".join(notes))


def trajectory(
    run: str | os.PathLike[str] | TrajectoryProbe,
    model: keras.Model,
    data: Any,
    *,
    resolution: int = 21,
    verbose: int = 1,
    **options: Any,
) -> Figure:
    """Draws the path of training in the plane that shows most of it.

    Left, contours of the loss in the plane through the trained weights along the first
    two principal components of the path, and the path projected on it, each point in
    the color of the loss at the snapshot itself. Right, that loss and the loss at the
    projection. Where they differ by more than 10 % of the loss, or of its range along
    the path, points are orange: there, the contours are not those of the loss that
    training saw. The explained variance cannot tell, since two components explain most
    of a random walk, too (Antognini and Sohl-Dickstein, 2018, arXiv 1806.08805).

    Costs `resolution`^2 evaluations of the loss and two per snapshot.

    Args:
        run: What `TrajectoryProbe` recorded: the probe, the folder given to it as
            `log_dir`, or its `.jsonl` file.
        model: The model as it was trained.
        data: A batch (x, y) or several, see `kb.probes.loss_surface`.
        resolution: Number of points of the contours along each component.
        verbose: 1 shows progress bars, 0 does not.
        **options: `training`, `statistics` and `loss` of `kb.probes.loss_surface`.

    Returns:
        A matplotlib `Figure`, which notebooks display and `savefig` writes.

    Raises:
        FileNotFoundError: There is no such folder, or it lacks the record.
        ModuleNotFoundError: Matplotlib is not installed.
        ValueError: It was not recorded by this probe; a snapshot is missing, damaged or
            of another model; the path is a line; or as for `kb.probes.loss_surface`.

    Example:
    ```python
    probe = kb.TrajectoryProbe(every=50, log_dir="runs/bn")
    model.fit(x, y, batch_size=128, epochs=10, callbacks=[probe])
    kb.plots.trajectory(probe, model, (x[:512], y[:512])).savefig("trajectory.png")
    ```
    """
    drawing, _ = _drawing()
    from keras_bnsmooth.plots import paths

    run = f"{run.folder}.jsonl" if hasattr(run, "folder") else run
    if not isinstance(run, (str, os.PathLike)):
        raise ValueError(
            "run must be a TrajectoryProbe or a run folder, which has the weights; "
            f"received {type(run).__name__}."
        )
    file = Path(run)
    file = file if file.suffix == ".jsonl" else file / "trajectory.jsonl"
    record = _read(file, "trajectory", ("variables",), "")
    # Taken once, since a shuffled dataset has other batches each time.
    options |= {"data": list(to_batches(data)), "verbose": verbose}
    path = paths.measure_path(
        record, file.with_suffix(""), model, resolution, **options
    )
    figure = drawing.new_figure(11.5, 4.8)
    paths.draw_path(figure, record["step"], *path)
    return drawing.finish(figure, path[1].note)


def _drawing_of(labelled, dimensions):
    """Imports what draws surfaces, and raises a ValueError unless all fit."""
    drawing, _ = _drawing()
    from keras_bnsmooth.plots import surfaces

    for surface in labelled.values():
        shape = getattr(surface, "losses", np.array(0)).shape
        if len(shape) != dimensions:
            raise ValueError(
                f"this draws what kb.probes.loss_surface measured along {dimensions} "
                f"direction(s); received {type(surface).__name__} of shape {shape}."
            )
    if not labelled:
        raise ValueError("there is nothing to draw: the dict of profiles is empty.")
    return drawing, surfaces


def _drawing():
    """Imports the modules that need matplotlib."""
    try:
        from keras_bnsmooth.plots import drawing, panels
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("matplotlib", "PIL"):
            raise
        raise ModuleNotFoundError(
            "keras_bnsmooth.plots needs matplotlib; run "
            '`pip install "keras-bnsmooth[plots]"`.',
            name=error.name,
        ) from error
    return drawing, panels


def _read_all(runs, record, quantities):
    """Returns a dict from label to record; a single run has an empty label."""
    single = not isinstance(runs, Mapping) or "step" in runs
    labelled = {"": runs} if single else runs
    if not labelled:
        raise ValueError(
            "there is nothing to draw: the dict of runs, or the history of the probe, "
            "is empty."
        )
    return {
        str(label): _read(run, record, quantities, f"run {label!r}: " if label else "")
        for label, run in labelled.items()
    }


def _read(run, record, quantities, where):
    if isinstance(run, (str, os.PathLike)):
        columns = read_record(run, record)
    else:
        columns = run if isinstance(run, Mapping) else getattr(run, "history", None)
    if not isinstance(columns, Mapping):
        raise ValueError(
            f"{where}received {run!r}; pass a run folder, a probe or its history."
        )
    if not len(columns.get("step", columns)):
        raise ValueError(
            f"{where}there are no rows to draw; pass the probe to model.fit as a "
            "callback first."
        )
    missing = [name for name in ("step", *quantities) if name not in columns]
    if missing:
        raise ValueError(
            f"{where}this is no {record} record: it lacks {', '.join(missing)}."
        )
    return {name: np.asarray(values) for name, values in columns.items()}


def read_record(folder, name):
    """Returns the record `folder/name.jsonl`, or the file `folder`, as columns.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ValueError: The file has no rows yet, or is damaged.
    """
    folder = Path(folder)
    path = folder if folder.suffix == ".jsonl" else folder / f"{name}.jsonl"
    if not path.exists():
        where = path if folder.is_dir() else folder
        raise FileNotFoundError(
            f"there is no {where}; pass the log_dir of a probe or the --workdir of a "
            f"program, which holds {name}.jsonl."
        )
    columns = json_lines.read_columns(path)
    if not columns:
        raise ValueError(f"{path} has no rows yet.")
    return columns


def _choose_layers(records, layers, count, skip=0):
    """Returns a list with one dict per layer to draw, from label to its name."""
    available = {label: layer_names(record) for label, record in records.items()}
    if layers is None:
        layers = _shared_layers(available, count, skip)
    elif isinstance(layers, str):
        raise ValueError(f"layers must be a list of names; received {layers!r}.")
    if not isinstance(layers, Mapping):
        layers = dict.fromkeys(records, layers)
    if layers.keys() != records.keys() or len(set(map(len, layers.values()))) != 1:
        raise ValueError(
            "layers must give every run the same number of names; received "
            f"{dict(layers)} for the runs {', '.join(records)}."
        )
    for label, names in layers.items():
        unknown = [name for name in names if name not in available[label]]
        if unknown or not names:
            raise ValueError(
                f"layers={list(names)}: pass one or several of the recorded layers, "
                f"{', '.join(available[label])}."
            )
    return [
        dict(zip(layers, names, strict=True))
        for names in zip(*layers.values(), strict=True)
    ]


def _normalized_layers(records):
    """Returns three shared layers that are normalized in any run, or None."""
    available = [layer_names(record) for record in records.values()]
    normalized = {
        name
        for record, names in zip(records.values(), available, strict=True)
        for name, rates in zip(names, record["effective_learning_rate"].T, strict=True)
        if not np.isnan(rates).all()
    }
    common = [
        name
        for name in available[0]
        if name in normalized and all(name in names for names in available)
    ]
    return [name for _, name in evenly_spaced(common, 3)] or None


def _shared_layers(available, count, skip):
    first, *others = available.values()
    common = [name for name in first if all(name in names for names in others)]
    if common:
        return [name for _, name in evenly_spaced(common[skip:] or common, count)]
    if len(set(map(len, available.values()))) != 1:
        lists = "; ".join(f"{label}: {names}" for label, names in available.items())
        raise ValueError(
            f"the runs have no layer name in common ({lists}); pass layers as a dict "
            "from label to names."
        )
    return {
        label: [name for _, name in evenly_spaced(names[skip:] or names, count)]
        for label, names in available.items()
    }


def _styles(records):
    return dict(zip(records, assign_styles(list(records)), strict=True))
