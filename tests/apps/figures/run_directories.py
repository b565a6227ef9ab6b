"""Run directories with records made by hand."""

import json

from matplotlib.text import Text

from apps.figures.paper import FIGURES
from apps.training.runs import Run, RunSet
from keras_bnsmooth.records import json_lines

STEPS = (0, 10, 20)
LINEAR_LAYERS = ("one", "two", "three")


def save_run(path, records, norm="bn", seed=0, result=None, **flags):
    """Makes a run directory; `records` are rows by the name of the record."""
    path.mkdir()
    config = {
        "flags": {"norm": norm, "seed": seed, "workdir": str(path), **flags},
        "provenance": "pictures of nothing",
    }
    (path / "config.json").write_text(json.dumps(config))
    result = {"status": "finished"} if result is None else result
    (path / "result.json").write_text(json.dumps(result))
    for name, rows in records.items():
        for row in rows:
            json_lines.append(path / f"{name}.jsonl", row)
    return path


def vgg_run(path, records=None, norm="bn", learning_rate=0.1, **flags):
    """A `Run` of a VGG, with all records unless some are given."""
    flags = {"depth": "11", "width": 8, "batch_size": 4, "steps": 30} | flags
    records = all_records(norm) if records is None else records
    records = {"metrics": image_rows()} | records
    save_run(path, records, norm, learning_rate=learning_rate, **flags)
    return Run(path)


def dln_run(path, records=None, norm="bn", reduction="sum_mean", **flags):
    """A `Run` of a DLN, with all records unless some are given."""
    flags = {"depth": 3, "dim": 2, "samples": 5, "steps": 30} | flags
    records = all_records(norm) if records is None else records
    records = {"metrics": regression_rows()} | records
    save_run(path, records, norm, reduction=reduction, learning_rate=1e-6, **flags)
    return Run(path)


def all_records(norm):
    layers = layers_of(norm)
    return {
        "landscape": landscape_rows(),
        "ics": ics_rows(layers),
        "activations": activation_rows(layers),
    }


def complete_set(folder, **changed):
    """A `RunSet` that every figure can be drawn from; `changed` records in all runs."""
    runs = [
        vgg_run(folder / f"vgg_{norm}", all_records(norm) | changed, norm)
        for norm in ("none", "bn", "noisy_bn", "noise", "l1", "l2", "linf")
    ]
    runs += [
        dln_run(
            folder / f"dln_{reduction}_{norm}",
            all_records(norm) | changed,
            norm,
            reduction,
        )
        for reduction in ("sum_mean", "sum_sum")
        for norm in ("none", "bn", "l1", "l2", "linf")
    ]
    return RunSet(runs)


def layers_of(norm):
    """Names of the layers with weights, as a network with this norm has them."""
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
    return [
        {"step": step, "loss": factor * 100 / step, "squared_error": 200 / step}
        for step in (10, 20, 30)
    ]


def landscape_rows(factor=1.0, **changed):
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
            **changed,
        }
        for step in STEPS
    ]


def ics_rows(layers):
    return [
        {
            "step": step,
            "layers": layers,
            "l2": [number + step + 1.0 for number in range(len(layers))],
            "cosine": [1 / (number + step + 1.0) for number in range(len(layers))],
        }
        for step in STEPS
    ]


def activation_rows(layers, **changed):
    """Rows at steps t and t + 1."""
    count = len(layers)
    return [
        {
            "step": step,
            "layers": layers,
            "units": list(range(count)),
            "mean": [number + step**2 for number in range(count)],
            "variance": [1.0 + step] * count,
            "minimum": [-1.0] * count,
            "maximum": [3.0] * count,
            "counts": [[1, 2, 4, 3]] * count,
            **changed,
        }
        for start in STEPS
        for step in (start, start + 1)
    ]


def paper_figure(number):
    """The entry of the catalogue."""
    return next(figure for figure in FIGURES if figure.number == number)


def texts(figure):
    """Titles, labels and legends of a figure, joined."""
    return "\n".join(text.get_text() for text in figure.findobj(Text))
