"""The run directory: everything a run leaves behind, under names fixed here.

config.json       what made the run: flags, versions, seed, device, data, revision
metrics.jsonl     one row every few steps: loss, accuracy, and those on test data
train/, test/     the same curves for TensorBoard
checkpoint.npz    weights, optimizer state and seeds at the last checkpoint
model.keras       the trained model
result.json       how the run ended
*.jsonl           the records of probes
.lock             held by the process that writes all this
"""

import json
from pathlib import Path

from apps.training import processes
from apps.training.errors import RunError
from apps.training.lock import lock
from keras_bnsmooth.records import json_lines
from keras_bnsmooth.records.json_lines import atomic_write

# Those that runs of older versions lack, with what they had in effect.
_LATER = {"strategy": "none", "logical_cpus": 1, "synchronized": False}


def all_flags(config):
    """Returns the flags of a run as a dict, with those that it is too old to name.

    Args:
        config: What the `config.json` of a run holds.
    """
    return _LATER | config["flags"]


class RunDirectory:
    """A directory for one run, new or to be gone on with.

    Args:
        path: The directory; made where it is missing.
        config: Dict of what makes the run; `config["flags"]` decides whether a run
            that is there already is the same one.
        free_flags: Names of flags that do not change the numbers of a run, and so
            may differ when it goes on.

    Where several processes train one model, the first one alone writes.

    Raises:
        RunError: The directory holds a run of other flags, or something else, or
            another process is writing it.
        OSError: The directory cannot be written.
    """

    def __init__(self, path, config, free_flags=()):
        self.path = Path(path)
        self.writes = processes.is_writer()
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"workdir {path} is a file; pass a directory.")
        if self.writes:
            self.path.mkdir(parents=True, exist_ok=True)
        if self._config_path.exists():
            self._check_same_run(config, free_flags)
        elif not self.writes:
            return
        elif any(self.path.iterdir()):
            raise RunError(
                f"workdir {path} holds files but no run of ours (no config.json); "
                "pass an empty or a new directory."
            )
        else:
            _write_json(self._config_path, config)
        if self.writes:
            self._lock = lock(self.path)

    @property
    def _config_path(self):
        return self.path / "config.json"

    @property
    def metrics(self):
        """Path of the metrics, JSON lines."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self):
        """Path of the last checkpoint."""
        return self.path / "checkpoint.npz"

    @property
    def model(self):
        """Path of the trained model."""
        return self.path / "model.keras"

    def result(self):
        """Returns how the run ended as a dict, or None while it has not."""
        path = self.path / "result.json"
        return _read_json(path) if path.exists() else None

    def finish(self, result):
        """Writes how the run ended."""
        if not self.writes:
            return
        _write_json(self.path / "result.json", result)

    def drop_records_after(self, step):
        """Drops the rows beyond `step` of all records: they will be written again."""
        if not self.writes:
            return
        for path in sorted(self.path.glob("*.jsonl")):
            json_lines.truncate(path, step)

    def _check_same_run(self, config, free_flags):
        there, asked = (
            {k: v for k, v in all_flags(c).items() if k not in free_flags}
            for c in (_read_json(self._config_path), json.loads(json.dumps(config)))
        )
        different = [
            f"--{name}={there.get(name)} (asked: {asked.get(name)})"
            for name in sorted(there.keys() | asked.keys())
            if there.get(name) != asked.get(name)
        ]
        if different:
            raise RunError(
                f"workdir {self.path} holds a run with {', '.join(different)}; "
                "pass the same flags to go on with it, or another --workdir."
            )


def _write_json(path, value):
    with atomic_write(path) as partial:
        partial.write_text(json_lines.dumps(value, indent=2) + "\n")


def _read_json(path):
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise RunError(
            f"{path} is not JSON ({error.msg}); pass another --workdir."
        ) from error
