"""Finished runs, read from their directories for figures and claims."""

import functools
import json
from collections import Counter
from pathlib import Path

import numpy as np

from apps.settings import PROBES
from apps.training.run_directory import all_flags
from keras_bnsmooth.records import json_lines

# Flags that runs shown together may differ in, because they are what is compared.
_COMPARED = ("norm", "seed", "learning_rate", "reduction")
# Flags that do not change the numbers of a run.
_FREE = ("workdir", "data_dir", "xla")


class Run:
    """A run directory, for reading.

    Args:
        path: The directory.

    Attributes:
        path: The directory, a `Path`; `name` is its last part.
        config: What `config.json` holds.
        flags: Dict of the flags that made the run.
        result: What `result.json` holds.
        network: `"vgg"` or `"dln"`.
        norm: Normalization, one of `keras_bnsmooth.models.NORMS`.
        seed: Integer.
        learning_rate: Float.
        reduction: Of the squared error, or None for the VGG.
        steps: Training steps asked for.

    Raises:
        ValueError: The directory does not hold one whole run of ours; one line says
            what is wrong with which file.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.name = self.path.name
        self.config = self._json("config.json")
        try:
            flags = self.flags = all_flags(self.config)
            self.norm = flags["norm"]
            self.seed = flags["seed"]
            self.learning_rate = flags["learning_rate"]
            self.steps = flags["steps"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self.path}: config.json is not that of a run.") from (
                error
            )
        self.reduction = flags.get("reduction")
        self.network = "vgg" if self.reduction is None else "dln"
        if not self._holds("result.json"):
            raise ValueError(
                f"{self.path}: the run is not finished; "
                f"`{self.config.get('command')}` goes on with it."
            )
        self.result = self._json("result.json")
        self._check_rows("metrics", flags.get("metrics_every"), first=1)
        for probe, flag in PROBES.items():
            every = flags.get(flag)
            if every:
                self._check_rows(probe, every, first=0)

    @property
    def diverged(self):
        """Whether the loss was no longer finite before the last step."""
        return self.result.get("status") == "diverged"

    def has(self, record):
        """Whether there is this record: `"metrics"` or a key of `PROBES`."""
        return self._holds(f"{record}.jsonl")

    @functools.cache  # noqa: B019 - runs live as long as the report
    def record(self, name):
        """Returns a record as columns, see `json_lines.read_columns`.

        Args:
            name: `"metrics"` or a key of `PROBES`.

        Raises:
            ValueError: The run has no such record.
        """
        if not self.has(name):
            raise ValueError(f"{self.path}: there is no {name}.jsonl.")
        return json_lines.read_columns(self.path / f"{name}.jsonl")

    def _holds(self, name):
        return (self.path / name).exists()

    def _json(self, name):
        try:
            return json.loads((self.path / name).read_text())
        except OSError as error:
            raise ValueError(
                f"{self.path}: there is no {name}; this is not a run directory."
            ) from error
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{self.path}: {name} is cut off or damaged ({error.msg})."
            ) from error

    def _check_rows(self, name, every, first):
        """Raises unless the record has its rows, in order and up to the end."""
        where = f"{self.path}: {name}.jsonl"
        if not self.has(name):
            raise ValueError(f"{where} is missing.")
        steps = self.record(name).get("step", ())
        if len(steps) == 0:
            raise ValueError(f"{where} is empty.")
        # No comparison holds with the NaN of a row that has no step.
        if np.isnan(steps).any() or not np.all(np.diff(steps) > 0):
            raise ValueError(f"{where} holds rows of more than one run.")
        if self.diverged:
            return
        # Metrics are written after a step, probes before it.
        last = (self.steps - 1 + first) // every * every if every else steps[-1]
        if steps[-1] < last:
            raise ValueError(
                f"{where} ends at step {steps[-1]:,} instead of {last:,}; "
                "it was cut off."
            )


class RunSet:
    """Runs that are shown and judged together.

    Args:
        runs: List of `Run`.
        problems: One line for each directory that was left out.
    """

    def __init__(self, runs, problems=()):
        self.runs = list(runs)
        self.problems = list(problems)

    def select(self, network, norm=None, *, reduction=None, learning_rate=None):
        """Returns the runs of a network, in the order of their seeds.

        Args:
            network: `"vgg"` or `"dln"`.
            norm: Normalization, or None for all.
            reduction: Of the DLN's squared error, or None for all.
            learning_rate: None takes the one that most runs of the network have.
        """
        of_network = [run for run in self.runs if run.network == network]
        if learning_rate is None:
            learning_rate = _most_common(run.learning_rate for run in of_network)
        return sorted(
            (
                run
                for run in of_network
                if run.learning_rate == learning_rate
                and norm in (None, run.norm)
                and reduction in (None, run.reduction)
            ),
            key=lambda run: (run.norm, run.seed),
        )


def read_runs(folder):
    """Reads all run directories in a folder.

    Runs of the same network must have been made with the same flags, except norm,
    seed, learning rate and reduction. What does not fit, and what is not a whole
    run, is left out, and a line in `problems` says why.

    Args:
        folder: Folder of run directories.

    Returns:
        A `RunSet`.

    Raises:
        ValueError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder of runs.")
    runs, problems = [], []
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            runs.append(Run(path))
        except ValueError as error:
            problems.append(str(error))
    return RunSet(*_matching(runs, problems))


def _matching(runs, problems):
    """Leaves out runs of other flags than the rest, and runs that are there twice."""
    problems = list(problems)
    kept = {}
    common = {
        network: _common_flags([run for run in runs if run.network == network])
        for network in ("vgg", "dln")
    }
    for run in runs:
        differ = [
            f"--{name}={run.flags.get(name)} where most have {value}"
            for name, value in common[run.network].items()
            if run.flags.get(name) != value
        ]
        key = (run.network, *(run.flags.get(name) for name in _COMPARED))
        if differ:
            problems.append(f"{run.path}: a run with {', '.join(differ)}.")
        elif key in kept:
            problems.append(f"{run.path}: the same run as {kept[key].path}.")
        else:
            kept[key] = run
    return list(kept.values()), problems


def _common_flags(runs):
    names = {
        name
        for run in runs
        for name in run.flags
        if name not in (*_COMPARED, *_FREE) and not name.endswith("_every")
    }
    return {
        name: _most_common(run.flags.get(name) for run in runs)
        for name in sorted(names)
    }


def _most_common(values):
    counts = Counter(values).most_common(1)
    return counts[0][0] if counts else None
