"""The run directory: everything that a run leaves behind, under fixed names.

config.json       what determines the run: flags, versions, device, data, revision
metrics.jsonl     one row every few steps: loss, accuracy, and those on test data
train/, test/     the same curves for TensorBoard
checkpoint.npz    weights, optimizer state and seeds at the last checkpoint
model.keras       the trained model
result.json       how the run ended
*.jsonl           the records of probes
*_initial.npz     the initial weights, from which probes measure distances
.lock             locked by the process that writes all this
"""

import errno
import hashlib
import json
import os
from pathlib import Path

from apps.errors import UserError, user_errors
from apps.training import processes
from apps.training.contents import all_flags, read_config, read_result
from keras_bnsmooth.records import json_lines
from keras_bnsmooth.records.json_lines import atomic_write

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# What a process leaves in an empty directory if it is killed before config.json.
_UNFINISHED = {".lock", "partial-config.json"}
# Errors of file systems that do not support locks.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)


def check_records(path, checksums):
    """Raises a UserError unless the records in a run directory begin as they were.

    Args:
        path: The directory.
        checksums: What `RunDirectory.checksums` returned at some earlier moment.
    """
    path = Path(path)
    there = [name for name in checksums if (path / name).is_file()]
    contents = {name: (path / name).read_bytes() for name in there}
    _check_beginnings(path, contents, checksums)


def _check_beginnings(path, contents, checksums):
    for name, (length, checksum) in checksums.items():
        if name not in contents or _checksum(contents[name][:length]) != checksum:
            raise UserError(
                f"{path / name} was cut, changed or removed since the run wrote it; "
                f"put it back, or delete {path} to start the run again."
            )


class RunDirectory:
    """Directory of a new run or of one to resume.

    The directory stays locked until this process ends. If several processes train one
    model, only the first one writes.

    Args:
        path: The directory; created if missing.
        config: Dict of what determines the run. An existing run is the same one if its
            `config["flags"]` are equal, and its `config["data_checksum"]` if it has
            one.
        free_flags: Names of flags that do not affect the numbers, and so may differ
            when a run is resumed.

    Raises:
        UserError: The directory holds a run with other flags or other files, or is in
            use by another process.
        OSError: The directory cannot be written.
    """

    def __init__(self, path, config, free_flags=()):
        self.path = Path(path)
        self.writes = processes.is_writer()
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"workdir {path} is a file; pass a directory.")
        config_path = self.path / "config.json"
        if self.writes:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / ".lock").exists():
                # Leave no lock file among files that are not ours.
                self._refuse_other_files()
            self._lock = _lock(self.path)
            self._refuse_other_files()
            if not config_path.exists():
                _write_json(config_path, config)
        if config_path.exists():
            found = read_config(config_path)
            self._check_same_run(found, config, free_flags)

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
        """Returns how the run ended as a dict, or None if it has not ended."""
        path = self.path / "result.json"
        return read_result(path) if path.exists() else None

    def finish(self, result):
        """Writes how the run ended."""
        if self.writes:
            _write_json(self.path / "result.json", result)

    def checksums(self, earlier=None):
        """Returns what the records hold: a dict from file name to (bytes, SHA-256).

        Args:
            earlier: What this function returned earlier, or None.

        Raises:
            UserError: Something else than further rows is new since then.
        """
        contents = {path.name: path.read_bytes() for path in self.path.glob("*.jsonl")}
        _check_beginnings(self.path, contents, earlier or {})
        return {
            name: [len(content), _checksum(content)]
            for name, content in sorted(contents.items())
        }

    def check_in_place(self):
        """Raises a UserError if another directory has taken the place of this one."""
        try:
            same = os.path.samestat(
                os.fstat(self._lock.fileno()), os.stat(self.path / ".lock")
            )
        except FileNotFoundError:
            same = False
        if not same:
            raise UserError(
                f"workdir {self.path} was removed or replaced while the run wrote to "
                "it; rerun the same command to go on from the checkpoint there."
            )

    def restore_records(self, checksums, step):
        """Drops rows that were written after a checkpoint, as they will be again.

        Args:
            checksums: Those of the checkpoint; None if it has none, as before the first
                one or in those of older versions.
            step: Step of the checkpoint.

        Raises:
            UserError: A record was cut, changed or removed since the checkpoint.
        """
        if not self.writes:
            return
        if checksums is None:
            with user_errors():  # a damaged record
                for path in sorted(self.path.glob("*.jsonl")):
                    json_lines.truncate(path, step)
            return
        check_records(self.path, checksums)
        for path in sorted(self.path.glob("*.jsonl")):
            os.truncate(path, checksums.get(path.name, [0])[0])

    def _refuse_other_files(self):
        names = {path.name for path in self.path.iterdir()} - _UNFINISHED
        if names and "config.json" not in names:
            raise UserError(
                f"workdir {self.path} holds files but no run of ours (no config.json); "
                "pass an empty or a new directory."
            )

    def _check_same_run(self, found, config, free_flags):
        there, asked = (
            {k: v for k, v in all_flags(c).items() if k not in free_flags}
            for c in (found, json.loads(json.dumps(config)))
        )
        different = [
            f"--{name}={there.get(name)} (asked: {asked.get(name)})"
            for name in sorted(there.keys() | asked.keys())
            if there.get(name) != asked.get(name)
        ]
        if different:
            raise UserError(
                f"workdir {self.path} holds a run with {', '.join(different)}; "
                "pass the same flags to resume it, or another --workdir."
            )
        if found.get("data_checksum") not in (None, config.get("data_checksum")):
            raise UserError(
                f"workdir {self.path} holds a run on other images, which had the same "
                "name; put them back to resume it, or pass another --workdir."
            )


def _lock(directory):
    """Locks a run directory for as long as the returned file stays open.

    The system releases the lock when the process ends, however it ends.
    """
    file = open(directory / ".lock", "w")  # noqa: SIM115 - stays open
    if fcntl is None:
        return file
    try:
        # Held by the process, so that it can open the same run again.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise UserError(
            f"workdir {directory} is in use by another process; wait for it to end, or "
            "pass another --workdir."
        ) from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return file


def _checksum(content):
    return hashlib.sha256(content).hexdigest()


def _write_json(path, value):
    with atomic_write(path) as partial:
        partial.write_text(json_lines.dumps(value, indent=2) + "\n")
