"""What pictures of any run directories know of them."""

import dataclasses
import itertools
import json

from apps.figures.styles import STYLES
from apps.training.run_directory import all_flags


def read_configs(runs, *records):
    """Returns the configurations of run directories, which must hold the records.

    Args:
        runs: Paths.
        *records: Names of files, such as `"metrics.jsonl"`.

    Raises:
        ValueError: A directory is not that of a run, or lacks a record.
    """
    for run in runs:
        for name in ("config.json", *records):
            if not (run / name).exists():
                raise ValueError(f"{run} is no such run directory: it has no {name}.")
    return [json.loads((run / "config.json").read_text()) for run in runs]


def label_runs(configs):
    """Returns a label for each configuration: the flags in which they differ.

    Where a run is written and how often it is measured does not tell runs apart.
    """
    flags = [all_flags(config) for config in configs]
    differ = [
        name
        for name in flags[0]
        if name != "workdir"
        and not name.endswith("_every")
        and any(f.get(name) != flags[0][name] for f in flags)
    ]
    if differ in ([], ["norm"]):
        return [f["norm"] for f in flags]
    return [", ".join(f"{name} {f.get(name)}" for name in differ) for f in flags]


def style_runs(configs):
    """Returns a `Style` for each configuration, labelled by `label_runs`.

    A normalization has its own, unless that would give two runs the same one.
    """
    norms = [config["flags"]["norm"] for config in configs]
    labels = label_runs(configs)
    if len(set(norms)) == len(norms):
        styles = [STYLES[norm] for norm in norms]
    else:
        styles = itertools.cycle(STYLES.values())
    return [
        dataclasses.replace(style, label=label)
        for style, label in zip(styles, labels, strict=False)
    ]
