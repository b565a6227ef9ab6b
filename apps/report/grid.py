"""How the runs of a grid ended: one row a run, as CSV."""

import csv
import io
import json

import numpy as np

from keras_bnsmooth.records import json_lines
from keras_bnsmooth.records.json_lines import atomic_write

COLUMNS = (
    "run",
    "norm",
    "learning_rate",
    "seed",
    "status",
    "accuracy",
    "test_accuracy",
    "squared_error",
    "loss",
    "beta",
    "message",
)


def grid_row(run, flags, failure=""):
    """Returns the row of one run of a grid, finished or not.

    Args:
        run: Path of the run directory.
        flags: Dict with `norm`, `learning_rate` and `seed`.
        failure: What the run said when it failed, or nothing.

    Returns:
        Dict of `COLUMNS`. Accuracies, squared error and loss are means over the last
        5 % of training, beta is the median over training; None where there is none.
        `status` is `"finished"`, `"diverged"`, `"failed"` or `"not finished"`.
    """
    result = _read(run / "result.json")
    status = result.get("status", "failed" if failure else "not finished")
    metrics = _rows(run / "metrics.jsonl")
    last = metrics[-1]["step"] if metrics else 0
    ending = [row for row in metrics if row["step"] > 0.95 * last]
    betas = [row["beta"] for row in _rows(run / "landscape.jsonl")]
    return {
        "run": run.name,
        **{name: flags[name] for name in ("norm", "learning_rate", "seed")},
        "status": status,
        **{
            name: _mean([row[name] for row in ending if name in row])
            for name in ("accuracy", "test_accuracy", "squared_error", "loss")
        },
        "beta": float(np.nanmedian(betas)) if np.isfinite(betas).any() else None,
        "message": failure or result.get("message", ""),
    }


def write_grid(path, rows):
    """Writes rows as CSV; what a run has not measured is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(path) as partial:
        partial.write_text(text.getvalue())


def _mean(values):
    return float(np.mean(values)) if values else None


def _read(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _rows(path):
    return json_lines.read(path) if path.exists() else []
