"""Makes run directories with records of one's choice, without training."""

import json

import numpy as np

from keras_bnsmooth.records import json_lines

_FLAGS = {
    "vgg": {
        "learning_rate": 0.1,
        "steps": 100,
        "depth": "11",
        "width": 8,
        "dataset": "cifar10",
    },
    "dln": {"learning_rate": 1e-6, "steps": 100, "depth": 25, "samples": 1000},
}
METRICS_EVERY, PROBE_EVERY, ACTIVATIONS_EVERY = 10, 20, 50


def write_run(folder, network="vgg", norm="bn", seed=0, rows=None, **flags):
    """Writes a finished run and returns its directory.

    Args:
        folder: Where the directory is made.
        network: `"vgg"` or `"dln"`.
        norm: Normalization.
        seed: Integer.
        rows: Dict from a record to a function of (step, row), which changes the row
            that is written by default, or returns None to leave it out.
        **flags: Further or other flags.
    """
    flags = {
        **_FLAGS[network],
        **({"reduction": "sum_mean"} if network == "dln" else {}),
        "norm": norm,
        "seed": seed,
        "metrics_every": METRICS_EVERY,
        "probe_every": PROBE_EVERY,
        "random_probe_every": PROBE_EVERY,
        "ics_every": PROBE_EVERY,
        "activations_every": ACTIVATIONS_EVERY,
        **flags,
    }
    place = f"{flags.get('reduction', '')}_{norm}_{flags['learning_rate']}_{seed}"
    run = folder / f"{network}_{place}"
    run.mkdir(parents=True)
    config = {
        "command": f"python -m apps.train_{network} --norm={norm} --seed={seed}",
        "flags": flags,
        "versions": {"keras": "3"},
        "device": "a CPU",
        "revision": "0123456789abcdef",
        **({"provenance": "a copy of CIFAR-10"} if network == "vgg" else {}),
    }
    (run / "config.json").write_text(json.dumps(config))
    result = {"status": "finished", "steps": flags["steps"]}
    if network == "vgg":
        result["test_accuracy"] = 0.5
    (run / "result.json").write_text(json.dumps(result))
    for name, (steps, make) in _records(network, norm, flags["steps"]).items():
        change = (rows or {}).get(name, lambda step, row: row)
        for step in steps:
            row = change(step, {"step": step, **make(step)})
            if row is not None:
                json_lines.append(run / f"{name}.jsonl", row)
    return run


def _records(network, norm, steps):
    """{name: (steps, function from the step to the row)}."""
    probed = range(0, steps, PROBE_EVERY)
    first = range(0, steps, ACTIVATIONS_EVERY)
    return {
        "metrics": (
            range(METRICS_EVERY, steps + 1, METRICS_EVERY),
            _accuracies
            if network == "vgg"
            else lambda step: {"loss": 1.0, "squared_error": 10.0},
        ),
        "landscape": (probed, _landscape),
        "landscape_random": (probed, _landscape),
        "ics": (probed, lambda step: _shifts(norm)),
        "activations": (
            sorted([*first, *(step + 1 for step in first)]),
            lambda step: _activations(norm),
        ),
    }


def _accuracies(step):
    row = {"loss": 1.0, "accuracy": 0.5}
    return {**row, "test_accuracy": 0.5} if step % 50 == 0 else row


def _landscape(step):
    sizes = np.array([0.05, 0.1, 0.2, 0.4])
    return {
        "learning_rate": 0.1,
        "loss": 1.0,
        "gradient_norm": 2.0,
        "beta": 3.0,
        "step_sizes": sizes,
        "losses": 1 + sizes,
        "gradient_distances": 4 * sizes,
        "resolved": np.ones(4, bool),
    }


def layer_names(norm):
    """Names of the layers that records are of: three linear maps and their norms."""
    names = []
    for name in ("conv1_1", "conv2_1"):
        names += [name] if norm in ("none", "noise") else [name, f"{name}_{norm}"]
    return [*names, "logits"]


def _shifts(norm):
    layers = layer_names(norm)
    return {
        "learning_rate": 0.1,
        "layers": layers,
        "l2": [0.0] + [1.0] * (len(layers) - 1),
        "cosine": [1.0] + [0.5] * (len(layers) - 1),
    }


def _activations(norm):
    layers = layer_names(norm)
    return {
        "layers": layers,
        "units": [0] * len(layers),
        "mean": [0.0] * len(layers),
        "variance": [1.0] * len(layers),
        "minimum": [-1.0] * len(layers),
        "maximum": [1.0] * len(layers),
        "counts": [[1, 2, 3, 2]] * len(layers),
    }
