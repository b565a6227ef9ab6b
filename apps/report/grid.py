"""Summarizes a grid of runs as CSV, one row per run."""

import csv
import io

import numpy as np

from apps.claims import statistics
from apps.errors import UserError
from apps.training.runs import Run
from keras_bnsmooth.records.json_lines import atomic_write

_METRICS = ("accuracy", "test_accuracy", "loss")
COLUMNS = (
    *("run", "norm", "learning_rate", "seed", "status"),
    *_METRICS,
    *("beta", "message"),
)


def grid_row(path, flags, failure=""):
    """Returns the row of one run of a grid, finished or not.

    Args:
        path: Path of the run directory.
        flags: Dict with `norm`, `learning_rate` and `seed`.
        failure: Error message of a run that failed, else empty.

    Returns:
        Dict of `COLUMNS`. Accuracies and loss are those at the end of
        training and beta is its median over training, as `apps.claims.statistics`
        defines them for diverged runs, too; None if unavailable. `status` is
        `"finished"`, `"diverged"`, `"failed"` or `"not finished"`.
    """
    row = dict.fromkeys(COLUMNS)
    row |= {name: flags[name] for name in ("norm", "learning_rate", "seed")}
    row["run"] = path.name
    try:
        run = Run(path)
    except UserError as error:
        failed = failure or (path / "result.json").exists()
        status = "failed" if failed else "not finished"
        return row | {"status": status, "message": failure or str(error)}
    for name in _METRICS:
        row[name] = _at_the_end(run, name)
    if run.has("landscape") and not np.isnan(betas := statistics.beta(run)).all():
        row["beta"] = float(np.nanmedian(betas))
    return row | {
        "status": "diverged" if run.diverged else "finished",
        "message": failure or run.result.get("message", ""),
    }


def _at_the_end(run, name):
    """The metric at the end; that of the result if it was not recorded by then."""
    metrics = run.record("metrics")
    if name in metrics and not run.diverged:
        end = metrics[name][metrics["step"] > 0.95 * run.steps]
        if np.isnan(end).all():
            return run.result.get(name)
    elif name not in metrics:
        return run.result.get(name)
    return statistics.at_the_end(run, name)


def write_grid(path, rows):
    """Writes rows as CSV; quantities that are None become empty cells."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(path) as partial:
        partial.write_text(text.getvalue())
