"""The record of one callback in the run directory."""

from pathlib import Path

from keras_bnsmooth import backend
from keras_bnsmooth.records import json_lines
from keras_bnsmooth.records.tensorboard import EventFile


class Record:
    """JSON lines `log_dir/name.jsonl` and TensorBoard events in `log_dir/name/`.

    Opened at the step at which training begins or goes on. Rows after that step
    are what a run wrote after the checkpoint from which it now goes on, and are
    dropped, since they will be written again; so is a row of step 0 where training
    begins, which another model may have left. Where several processes train the model,
    the first one alone writes.

    Args:
        log_dir: The run directory.
        name: Of the record.
        step: The present step.
        layout: Custom Scalars layout, or None.

    Raises:
        ValueError: Training begins, and there is the record of another run.
        OSError: The directory cannot be written.
    """

    def __init__(self, log_dir, name, step, layout=None):
        self._path = Path(log_dir) / f"{name}.jsonl"
        self._events = None
        self.rows = json_lines.read(self._path) if self._path.exists() else []
        if self.rows and step == 0 and self.rows[-1]["step"] > 0:
            raise ValueError(
                f"{self._path} already holds a run up to step "
                f"{self.rows[-1]['step']}, and this one begins at step 0; give a new "
                "log_dir or remove the file."
            )
        self.rows = [row for row in self.rows if row["step"] <= (step or -1)]
        if backend.process_index() > 0:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        last = self.rows[-1]["step"] if self.rows else -1
        # Also removes a last line that was cut off.
        json_lines.truncate(self._path, last)
        self._events = EventFile(Path(log_dir) / name, first_step=last + 1)
        if layout is not None:
            self._events.layout(layout)
            self._events.flush()

    def append(self, row, scalars, histograms):
        """Writes a row, and the curves that it adds a point to.

        Args:
            row: Dict with an entry "step".
            scalars: Dict from tag to value.
            histograms: Dict from tag to (counts [bins], edges [bins + 1]).
        """
        if self._events is None:
            return
        json_lines.append(self._path, row)
        for tag, value in scalars.items():
            self._events.scalar(tag, value, row["step"])
        for tag, (counts, edges) in histograms.items():
            self._events.histogram(tag, counts, edges, row["step"])
        self._events.flush()

    def close(self):
        """Closes the event file."""
        if self._events is not None:
            self._events.close()
