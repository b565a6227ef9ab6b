"""Run directories with hand-made records, without training."""

import json

from apps.settings import (
    DLN_LEARNING_RATES,
    DLN_NORMS,
    VGG_LEARNING_RATES,
    VGG_NORMS,
    VGG_SWEEP_STEPS,
)
from apps.training.runs import Run, RunSet
from keras_bnsmooth.records import json_lines

LINEAR_LAYERS = ("one", "two", "three")
STEPS = (0, 10, 20)

_FLAGS = {
    "vgg": {"learning_rate": 0.1, "depth": "11", "width": 8, "dataset": "cifar10"},
    "dln": {"learning_rate": 1e-6, "samples": 1000},
}
_EVERY = {
    "metrics_every": 10,
    "probe_every": 20,
    "random_probe_every": 20,
    "filters_probe_every": 20,
    "ics_every": 20,
    "ics_joined_every": 20,
    "sharpness_every": 20,
    "activations_every": 50,
    "layer_scales_every": 20,
}


def save_run(path, records, norm="bn", seed=0, result=None, **flags):
    """Writes a run directory; `records` maps names to lists of rows."""
    path.mkdir(parents=True)
    network = "dln" if "samples" in flags else "vgg"
    config = {
        "command": f"python -m apps.train_{network} --norm={norm} --seed={seed}",
        "flags": {"norm": norm, "seed": seed, "workdir": str(path), **flags},
        "versions": {"keras": "3"},
        "device": "a CPU",
        "revision": "0123456789abcdef",
        "provenance": "pictures of nothing",
    }
    (path / "config.json").write_text(json.dumps(config))
    (path / "result.json").write_text(json.dumps(result or {"status": "finished"}))
    for name, rows in records.items():
        lines = [json_lines.dumps(row) + "\n" for row in rows]
        (path / f"{name}.jsonl").write_text("".join(lines))
    return path


def write_run(
    folder,
    network="vgg",
    norm="bn",
    seed=0,
    rows=None,
    result=None,
    name=None,
    **flags,
):
    """Writes a run of 100 steps whose records are the same for every norm.

    Args:
        folder: Parent of the new run directory.
        network: `"vgg"` or `"dln"`.
        norm: Normalization.
        seed: Integer.
        rows: Dict from a record to a function of (step, row) that returns the row to
            write instead, or None to omit it.
        result: Further entries of the result.
        name: Name of the new directory, by default made of the identity of the run.
        **flags: Flags that replace or extend the defaults.

    Returns:
        The run directory.
    """
    flags = {**_FLAGS[network], "steps": 100, **_EVERY, **flags}
    result = {"status": "finished", **(result or {})}
    if network == "vgg":
        result.setdefault("test_accuracy", 0.5)
    records = _uniform_records(network, norm, flags["steps"])
    for record, change in (rows or {}).items():
        changed = [change(row["step"], row) for row in records[record]]
        records[record] = [row for row in changed if row is not None]
    name = name or f"{network}_{norm}_{flags['learning_rate']}_{seed}"
    return save_run(folder / name, records, norm, seed, result, **flags)


def write_preset(folder):
    """Writes the runs that all claims and figures need; returns their directories."""
    runs = [write_run(folder, "vgg", norm) for norm in VGG_NORMS]
    runs += [
        write_run(folder, "dln", norm, seed) for norm in DLN_NORMS for seed in range(2)
    ]
    for norm in ("none", "bn"):
        for rate in (1e-7, 1e-5):
            runs.append(write_run(folder, "dln", norm, learning_rate=rate))
        steps = VGG_SWEEP_STEPS
        for rate in (0.01, 1.0):
            run = write_run(folder, "vgg", norm, learning_rate=rate, steps=steps)
            runs.append(run)
    return runs


def _uniform_records(network, norm, steps):
    layers = layers_of(norm)
    rest = len(layers) - 1
    metrics = [{"step": step, "loss": 1.0} for step in range(10, steps + 1, 10)]
    for row in metrics:
        if network == "vgg":
            row["accuracy"] = 0.5
            if row["step"] % 50 == 0:
                row["test_accuracy"] = 0.5
    probed = range(0, steps, 20)
    landscape = landscape_rows(
        steps=probed,
        loss=1.0,
        gradient_norm=2.0,
        beta=3.0,
        # Those of both networks, smaller ones and larger ones.
        step_sizes=[1e-4, 0.05, 0.1, 0.2, 0.4, 3.0, 6.0],
        losses=[1.0001, 1.05, 1.1, 1.2, 1.4, 1.6, 1.8],
        losses_resolved=[True] * 7,
        gradient_distances=[0.0004, 0.2, 0.4, 0.8, 1.6, 3.0, 5.0],
        resolved=[True] * 7,
    )
    shift = ics_rows(layers, probed, l2=[0] + [1] * rest, cosine=[1] + [0.5] * rest)
    return {
        "metrics": metrics,
        "landscape": landscape,
        "landscape_random": landscape,
        "landscape_filters": landscape,
        "ics": shift,
        "ics_joined": shift,
        "activations": activation_rows(
            layers,
            range(0, steps, 50),
            mean=[0.0] * len(layers),
            variance=[1.0] * len(layers),
        ),
        "layer_scales": layer_scale_rows(layers, probed),
        "sharpness": sharpness_rows(probed),
    }


def vgg_run(path, records=None, norm="bn", **flags):
    """Writes a VGG of 30 steps with `records`, all by default; returns its `Run`."""
    defaults = {"depth": "11", "width": 8, "batch_size": 4, "learning_rate": 0.1}
    return _run(path, image_rows(), records, norm, defaults | flags)


def dln_run(path, records=None, norm="bn", **flags):
    """Writes a DLN of 30 steps with `records`, all by default; returns its `Run`."""
    defaults = {"depth": 3, "dim": 2, "samples": 5, "learning_rate": 1e-6}
    return _run(path, regression_rows(), records, norm, defaults | flags)


def _run(path, metrics, records, norm, flags):
    records = all_records(norm) if records is None else records
    flags = {"steps": 30} | flags
    return Run(save_run(path, {"metrics": metrics} | records, norm, **flags))


def all_records(norm):
    layers = layers_of(norm)
    return {
        "landscape": landscape_rows(),
        "ics": ics_rows(layers),
        "activations": activation_rows(layers),
    }


def complete_set(folder, **changed):
    """Writes the runs that all figures need, with `changed` records in each."""
    runs = [
        vgg_run(folder / f"vgg_{norm}", all_records(norm) | changed, norm)
        for norm in VGG_NORMS
    ]
    runs += [
        dln_run(folder / f"dln_{norm}", all_records(norm) | changed, norm)
        for norm in DLN_NORMS
    ]
    for norm in ("none", "bn"):
        records = all_records(norm) | changed
        for rate in (min(DLN_LEARNING_RATES), max(DLN_LEARNING_RATES)):
            path = folder / f"dln_{norm}_{rate}"
            runs.append(dln_run(path, records, norm, learning_rate=rate))
        at_the_end = {"metrics": [{**image_rows()[1], "step": VGG_SWEEP_STEPS}]}
        short = {"steps": VGG_SWEEP_STEPS}
        for rate in (min(VGG_LEARNING_RATES), max(VGG_LEARNING_RATES)):
            path = folder / f"short_{norm}_{rate}"
            short["learning_rate"] = rate
            runs.append(vgg_run(path, at_the_end | records, norm, **short))
    return RunSet(runs)


def layers_of(norm):
    """Names of the layers with weights in a network with this norm."""
    if norm in ("none", "noise"):
        return list(LINEAR_LAYERS)
    return [name for layer in LINEAR_LAYERS for name in (layer, f"{layer}_{norm}")]


def image_rows(factor=1.0):
    return [
        {"step": step, "loss": 1.0, "accuracy": factor * step / 100}
        | ({"test_accuracy": factor * step / 200} if step == 20 else {})
        for step in (10, 20, 30)
    ]


def regression_rows(factor=1.0):
    return [{"step": step, "loss": factor * 100 / step} for step in (10, 20, 30)]


def landscape_rows(factor=1.0, steps=STEPS, **changed):
    return [
        {
            "step": step,
            "learning_rate": 0.1,
            "loss": factor,
            "gradient_norm": 3.0,
            "beta": factor * (7.0 + step),
            "step_sizes": [0.05, 0.1, 0.4],
            "losses": [factor * (2.0 + step), factor * 1.0, factor * (4.0 + step)],
            "gradient_distances": [0.1, 0.5, factor * 2.0],
            "resolved": [True, True, True],
            "losses_resolved": [True, True, True],
            **changed,
        }
        for step in steps
    ]


def ics_rows(layers, steps=STEPS, **changed):
    return [
        {
            "step": step,
            "layers": layers,
            "l2": [number + step + 1.0 for number in range(len(layers))],
            "cosine": [1 / (number + step + 1.0) for number in range(len(layers))],
            **changed,
        }
        for step in steps
    ]


def layer_scale_rows(layers, steps=STEPS):
    ones = [1.0] * len(layers)
    quantities = ("weight_norm", "gradient_norm", "update_ratio")
    return [
        {
            "step": step,
            "learning_rate": 0.1,
            "layers": layers,
            **dict.fromkeys((*quantities, "effective_learning_rate"), ones),
        }
        for step in steps
    ]


def sharpness_rows(steps=STEPS, **changed):
    return [
        {
            "step": step,
            "learning_rate": 0.1,
            "critical_learning_rate": 0.2,
            "sharpness": 15.0,
            "gradient_curvature": 10.0,
            **changed,
        }
        for step in steps
    ]


def activation_rows(layers, steps=STEPS, **changed):
    """Rows at t and t + 1, on the batch of t, for each t in `steps`."""
    count = len(layers)
    return [
        {
            "step": step,
            "batch_step": start,
            "layers": layers,
            "units": list(range(count)),
            "mean": [number + step**2 for number in range(count)],
            "variance": [1.0 + step] * count,
            "minimum": [-1.0] * count,
            "maximum": [3.0] * count,
            "counts": [[1, 2, 4, 3]] * count,
            **changed,
        }
        for start in steps
        for step in (start, start + 1)
    ]
