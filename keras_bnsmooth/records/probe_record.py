"""The record of one probe in its log directory."""

import re
from pathlib import Path
from typing import Any

from keras_bnsmooth import backend
from keras_bnsmooth.records import json_lines
from keras_bnsmooth.records.dashboard import Dashboard


class ProbeRecord:
    """JSON lines in `log_dir/name.jsonl` and TensorBoard events in `log_dir/name/`.

    Opened at the step at which training starts or resumes. Rows beyond that step were
    written after the checkpoint from which training resumes; they are dropped, since
    they will be written again. So is a row of step 0 if training starts there. If
    several processes train the model, only the first one writes.

    Args:
        log_dir: The log directory; created if missing.
        name: Name of the record.
        step: The current step.
        dashboard: Charts for TensorBoard's Custom Scalars, or None.
        overwrite: Whether to replace the record of another run.

    Attributes:
        rows: The rows that the record already holds up to `step`.

    Raises:
        ValueError: Training starts at step 0, the record of another run is there, and
            `overwrite` is false.
        OSError: The directory cannot be written.
    """

    def __init__(
        self,
        log_dir: json_lines.PathLike,
        name: str,
        step: int,
        dashboard: Dashboard | None = None,
        overwrite: bool = False,
    ):
        self._path = Path(log_dir) / f"{name}.jsonl"
        self._events = None
        rows = json_lines.read(self._path) if self._path.exists() else []
        if rows and step == 0 and rows[-1]["step"] > 0 and not overwrite:
            raise ValueError(
                f"{self._path} already holds a run up to step {rows[-1]['step']}, and "
                "this one starts at step 0; pass overwrite=True to replace it, or "
                "another log_dir."
            )
        self.rows = rows_up_to(step, rows)
        if backend.process_index() > 0:
            return
        # Imports the tensorboard package, which a probe without a record never needs.
        from keras_bnsmooth.records.tensorboard import EventFile

        self._path.parent.mkdir(parents=True, exist_ok=True)
        last = self.rows[-1]["step"] if self.rows else -1
        # Also removes a last line that was cut off.
        json_lines.truncate(self._path, last)
        self._events = EventFile(Path(log_dir) / name, first_step=last + 1)
        if dashboard is not None:
            self._events.dashboard(dashboard)

    def append(
        self,
        row: dict[str, Any],
        scalars: dict[str, float],
        histograms: dict[str, tuple],
        texts: dict[str, str],
    ) -> None:
        """Writes a row and its TensorBoard points.

        Args:
            row: Dict with an entry "step".
            scalars: Dict from tag to value.
            histograms: Dict from tag to (counts [bins], edges [bins + 1]).
            texts: Dict from tag to text.
        """
        if self._events is None:
            return
        json_lines.append(self._path, row)
        self._events.write(row["step"], scalars, histograms, texts)

    def close(self) -> None:
        """Closes the event file."""
        if self._events is not None:
            self._events.close()


def check_name(name: str) -> str:
    """Returns the name of a record, or raises a ValueError if it is no file name."""
    # On any system, since records move between them.
    if name in ("", ".", "..") or re.search(r"[/\\\0]", name):
        raise ValueError(
            "name must be a file name without directories, such as 'landscape'; "
            f"received {name!r}."
        )
    return name


def check_log_dir(log_dir: json_lines.PathLike) -> Path:
    """Returns the absolute path of a log directory, which need not exist yet.

    Raises:
        ValueError: It is a file, or would be inside of one.
    """
    path = Path(log_dir).resolve()
    existing = next(part for part in (path, *path.parents) if part.exists())
    if not existing.is_dir():
        raise ValueError(
            f"log_dir must be a directory; {existing} is a file. Pass another one."
        )
    return path


def rows_up_to(step: int, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows that stay when training starts or resumes at `step`.

    Step 0 drops all rows, since a run that starts there writes its first row again.
    """
    return [row for row in rows if row["step"] <= (step or -1)]
