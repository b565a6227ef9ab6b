"""Reads finished runs from their directories, for figures and claims."""

import dataclasses
import functools
from collections import Counter
from pathlib import Path

import numpy as np

from apps.errors import UserError, user_errors
from apps.settings import MAIN, PAPER_STEP_SIZES, PROBES, setting_flags
from apps.training.contents import all_flags, check_flags, read_config, read_result
from apps.training.run_directory import check_records
from keras_bnsmooth.plots.columns import restrict_step_sizes
from keras_bnsmooth.records import json_lines

# Flags that do not affect a run's numbers.
_FREE = ("workdir", "data_dir", "xla")


class Run:
    """A finished run, read from its directory.

    Args:
        path: The run directory. A saved model is not needed.

    Attributes:
        path: The directory, a `Path`; `name` is its last component.
        config: Contents of `config.json`.
        flags: Dict of the flags the run was started with.
        result: Contents of `result.json`.
        network: One of `apps.settings.NETWORKS`.
        norm: Normalization, one of `keras_bnsmooth.models.NORMS`.
        seed: Integer.
        learning_rate: Float.
        steps: Number of training steps requested.
        setting: Dict of flags, see `apps.settings.setting_flags`.

    Raises:
        UserError: The directory does not hold one complete run. The message is one
            line that names the file at fault.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.name = self.path.name
        self.config = read_config(self.path / "config.json")
        flags = self.flags = all_flags(self.config)
        check_flags(self.path / "config.json", flags)
        self.norm, self.seed = flags["norm"], flags["seed"]
        self.learning_rate, self.steps = flags["learning_rate"], flags["steps"]
        self.network = "dln" if "samples" in flags else "vgg"
        if flags.get("reduction", "sum_sum") != "sum_sum":
            raise UserError(
                f"{self.path}: a run with --reduction={flags['reduction']}, but the "
                "squared error is now always summed over samples and outputs; train it "
                "again without that flag."
            )
        self.setting = setting_flags(self.network, self.norm, flags)
        if not (self.path / "result.json").exists():
            raise UserError(
                f"{self.path}: the run is not finished; rerun "
                f"`{self.config.get('command')}` to resume it."
            )
        self.result = read_result(self.path / "result.json")
        check_records(self.path, self.result.get("records", {}))
        self._check_rows("metrics")
        for probe in PROBES:
            if self._every(probe):
                self._check_rows(probe)

    @property
    def diverged(self):
        """Whether training stopped early because the loss was no longer finite."""
        return self.result.get("status") == "diverged"

    def has(self, record):
        """Returns whether the run has a record: `"metrics"` or a key of `PROBES`."""
        return (self.path / f"{record}.jsonl").exists()

    @functools.cache  # noqa: B019 - runs live as long as the report
    def record(self, name, step_sizes="paper"):
        """Returns a record as columns, see `json_lines.read_columns`.

        Args:
            name: `"metrics"` or a key of `PROBES`.
            step_sizes: Which step sizes of a landscape to return: those in the paper's
                range, `"up to paper"` with the smaller ones as well, or those `"beyond
                paper"`, with its largest. Beta is the maximum over all of them.

        Raises:
            UserError: The run has no such record, or it is damaged.
        """
        if not self.has(name):
            raise UserError(f"{self.path}: {name}.jsonl is missing.")
        with user_errors():  # a damaged record
            columns = json_lines.read_columns(self.path / f"{name}.jsonl")
        if name.startswith("landscape") and "step_sizes" in columns:
            paper = PAPER_STEP_SIZES[self.network]
            lowest, highest = {
                "paper": (paper[0], paper[-1]),
                "up to paper": (0, paper[-1]),
                "beyond paper": (paper[-1], np.inf),
            }[step_sizes]
            columns = restrict_step_sizes(columns, lowest, highest)
            if not columns["step_sizes"].size:
                raise UserError(
                    f"{self.path}: {name}.jsonl has no step sizes {step_sizes}."
                )
        return columns

    def rows_lost(self, name):
        """Returns how many scheduled rows a diverged run did not live to record."""
        every = self._every(name)
        if not (self.diverged and every):
            return 0
        recorded = self.record(name)["step"][-1] // every
        return int(self._last_step(name) // every - recorded)

    def scheduled_steps(self, name):
        """Returns the steps of a record's rows, with those that a diverged run lost."""
        steps = self.record(name)["step"]
        lost = np.arange(1, self.rows_lost(name) + 1) * (self._every(name) or 0)
        return np.append(steps, steps[-1] + lost)

    def _every(self, name):
        return self.flags.get("metrics_every" if name == "metrics" else PROBES[name])

    def _last_step(self, name):
        """The last step at which a run that does not diverge records a row."""
        every = self._every(name)
        # Metrics are written after a step, probes run before it.
        return (self.steps - (name != "metrics")) // every * every

    def _check_rows(self, name):
        """Raises a `UserError` unless a record's rows are in order and complete."""
        where = f"{self.path}: {name}.jsonl"
        steps = self.record(name).get("step", ())
        if len(steps) == 0:
            raise UserError(f"{where} is empty.")
        # Rows without a step have NaN, which fails this comparison, too.
        if not np.all(np.diff(steps, prepend=-1) > 0):
            raise UserError(f"{where} holds rows of more than one run.")
        if self.diverged or not self._every(name):
            return
        last = self._last_step(name)
        if steps[-1] < last:
            raise UserError(
                f"{where} ends at step {steps[-1]:,} instead of {last:,}; it was "
                "truncated."
            )


@dataclasses.dataclass
class RunSet:
    """Runs that are shown and judged together.

    Attributes:
        runs: List of `Run`.
        problems: One line per directory that was left out.
    """

    runs: list
    problems: list = dataclasses.field(default_factory=list)

    def select(self, network, norm=None, **flags):
        """Returns the runs of one setting, sorted by norm and seed.

        Args:
            network: One of `apps.settings.NETWORKS`.
            norm: Normalization, or None for all.
            **flags: Values of flags in `apps.settings.MAIN[network]`. The others have
                the values of the main setting. A flag that does not affect a norm does
                not restrict its runs.

        Raises:
            ValueError: `flags` has others.
        """
        if unknown := flags.keys() - MAIN[network].keys():
            raise ValueError(
                f"runs of the {network} are not set apart by {', '.join(unknown)} but "
                f"by {', '.join(MAIN[network])}."
            )
        selected = self._having(network, self._main(network) | flags)
        return sorted(
            (run for run in selected if norm in (None, run.norm)),
            key=lambda run: (run.norm, run.seed),
        )

    def _main(self, network):
        """The main setting of these runs.

        Flags that it leaves open have the most common values among the runs with the
        paper's flags, or among all without such runs; ties go to the larger values.
        """
        main = MAIN[network]
        paper = {name: value for name, value in main.items() if value is not None}
        open_flags = [name for name in main if name not in paper]
        candidates = self._having(network, paper) or self._having(network, {})
        counts = Counter(
            tuple(run.setting[name] for name in open_flags) for run in candidates
        )
        if not counts:
            return main
        usual = max(counts, key=lambda values: (counts[values], values))
        return paper | dict(zip(open_flags, usual, strict=True))

    def _having(self, network, flags):
        return [
            run
            for run in self.runs
            if run.network == network
            and all(flags.get(k, v) == v for k, v in run.setting.items())
        ]


def read_runs(folder):
    """Reads all run directories in a folder.

    Runs of the same network must share all flags except norm, seed and those that set
    its settings apart (`apps.settings.MAIN`). Mismatched and incomplete runs are left
    out, each with a line in `problems` that gives the reason.

    Args:
        folder: Folder of run directories.

    Returns:
        A `RunSet`.

    Raises:
        UserError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; pass a folder of run directories.")
    runs, problems, kept = [], [], {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            runs.append(Run(path))
        except UserError as error:
            problems.append(str(error))
    for run in runs:
        key = (run.network, run.norm, run.seed, *run.setting.items())
        if differences := ", ".join(_differences(run, runs)):
            problems.append(f"{run.path}: a run with {differences}.")
        elif key in kept:
            problems.append(f"{run.path}: the same run as {kept[key].path}.")
        else:
            kept[key] = run
    return RunSet(list(kept.values()), problems)


def _differences(run, runs):
    """Yields the flags in which a run differs from most runs of its network."""
    of_network = [other.flags for other in runs if other.network == run.network]
    may_differ = {"norm", "seed", *MAIN[run.network], *_FREE}
    for name in sorted(set().union(*of_network) - may_differ):
        usual = _most_common(flags.get(name) for flags in of_network)
        if run.flags.get(name) != usual and not name.endswith("_every"):
            yield f"--{name}={run.flags.get(name)} where most have {usual}"


def _most_common(values):
    counts = Counter(values).most_common(1)
    return counts[0][0] if counts else None
