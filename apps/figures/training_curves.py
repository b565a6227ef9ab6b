"""Curves and landscapes of any runs, labeled by the flags in which they differ."""

import dataclasses
from pathlib import Path

from apps.training.contents import all_flags, check_flags, read_config
from keras_bnsmooth.plots.columns import drop_missing
from keras_bnsmooth.plots.drawing import (
    draw_line,
    finish,
    format_over_steps,
    new_figure,
    save,
)
from keras_bnsmooth.plots.probe_figures import (
    draw_landscape,
    draw_sharpness,
    read_record,
)
from keras_bnsmooth.plots.styles import assign_styles

# Titles, names in a record, and whether the axis is logarithmic.
_IMAGES = (
    ("training loss", "loss", False),
    ("training accuracy", "accuracy", False),
    ("test accuracy", "test_accuracy", False),
)
_REGRESSION = (("squared error over all samples", "loss", True),)


def draw_training_curves(*runs, path=None):
    """Draws the loss, and the accuracy if there is one, of any runs into one picture.

    Args:
        *runs: Run directories with `config.json` and `metrics.jsonl`.
        path: Path of the PNG; None selects `training_curves.png` in the first run.

    Returns:
        The path of the picture.

    Raises:
        ValueError: A directory is not that of a run.
    """
    runs = [Path(run) for run in runs]
    for run in runs:
        for name in ("config.json", "metrics.jsonl"):
            if not (run / name).exists():
                raise ValueError(
                    f"{run} has no {name}; pass the --workdir of a training program."
                )
    records = [read_record(run, "metrics") for run in runs]
    styles = style_runs(runs)
    network = _IMAGES if "accuracy" in records[0] else _REGRESSION
    # A short run ends before its first test.
    panels = [panel for panel in network if any(panel[1] in r for r in records)]
    figure = new_figure(4.4 * len(panels), 3.4)
    for axes, (title, quantity, log) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for record, style in zip(records, styles, strict=True):
            draw_line(axes, [drop_missing(record, quantity)], quantity, style)
        format_over_steps(axes, title, log=log)
    path = path or runs[0] / "training_curves.png"
    save(finish(figure, _provenance(runs)), path)
    return path


# The record of each probe that is drawn for any runs, and the drawing function.
PROBE_FIGURES = {"landscape": draw_landscape, "sharpness": draw_sharpness}


def draw_probe_figure(name, *runs, path):
    """Draws what a probe recorded in any runs.

    Args:
        name: Key of `PROBE_FIGURES`.
        *runs: Folders with this record, written by a program or by a probe.
        path: Path of the PNG.

    Returns:
        The path of the picture.

    Raises:
        FileNotFoundError: There is no such folder or record.
    """
    runs = [Path(run) for run in runs]
    records = {run: read_record(run, name) for run in runs}
    styles = dict(zip(runs, style_runs(runs), strict=True))
    save(PROBE_FIGURES[name](records, styles, _provenance(runs)), path)
    return path


def label_runs(runs):
    """Returns a label per run directory: the flags in which the runs differ.

    `--workdir` and the intervals of measurements do not distinguish runs. Folders that
    a program has not written have no flags and are labeled by their name. Labels that
    would be alike are replaced by paths, without what these have in common.
    """
    configs = [_read_config(run) for run in runs]
    programs = [all_flags(config) for config in configs if config]
    differ = [
        name
        for name in (programs[0] if programs else ())
        if name != "workdir"
        and not name.endswith("_every")
        and any(flags.get(name) != programs[0][name] for flags in programs)
    ]
    labels = [
        _label(all_flags(config), differ) if config else Path(run).name
        for run, config in zip(runs, configs, strict=True)
    ]
    return labels if len(set(labels)) == len(labels) else _distinct_paths(runs)


def _distinct_paths(runs):
    """Returns the paths without the components with which all begin or end."""
    paths = [Path(run).absolute().parts for run in runs]
    while len({path[:1] for path in paths}) == 1 and all(len(p) > 1 for p in paths):
        paths = [path[1:] for path in paths]
    while len({path[-1:] for path in paths}) == 1 and all(len(p) > 1 for p in paths):
        paths = [path[:-1] for path in paths]
    return ["/".join(path) for path in paths]


def style_runs(runs):
    """Returns a `Style` per run directory, labeled by `label_runs`.

    Runs have the style of their norm, unless two would then look alike. A single run
    needs no label.
    """
    labels = label_runs(runs)
    norms = [
        config["flags"]["norm"] if (config := _read_config(run)) else label
        for run, label in zip(runs, labels, strict=True)
    ]
    styles = assign_styles(norms if len(set(norms)) == len(norms) else labels)
    return [
        dataclasses.replace(style, label=label if len(runs) > 1 else "")
        for style, label in zip(styles, labels, strict=True)
    ]


def _label(flags, differ):
    if differ in ([], ["norm"]):
        return flags["norm"]
    return ", ".join(f"{name} {flags.get(name)}" for name in differ)


def _read_config(run):
    path = Path(run) / "config.json"
    if not path.exists():
        return None
    config = read_config(path)
    check_flags(path, config["flags"], names=("norm",))
    return config


def _provenance(runs):
    return (_read_config(runs[0]) or {}).get("provenance", "")
