"""The run that faults interrupt: a small network on the digits, and what it leaves."""

import dataclasses
import json
import os
import signal
import zipfile
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator,
)

from tests.apps.faults import forks

ARGUMENTS = (
    *("--dataset=digits", "--depth=11", "--width=1", "--batch_size=16", "--norm=none"),
    *("--steps=12", "--metrics_every=2", "--checkpoint_every=4", "--test_every=6"),
    "--layer_scales_every=3",
)


@dataclasses.dataclass
class Reference:
    """The run that nothing disturbed.

    Attributes:
        contents: What it left behind.
        seconds: How long it took.
        operations: Number of its file operations in the run directory.
        folders: The run directory as `"finished"`, and `"stopped"` after a checkpoint.
    """

    contents: dict
    seconds: float
    operations: int
    folders: dict


def start(folder, *more, **keywords):
    """Starts the run in `folder / "run"`; returns a `forks.Child`."""
    run = Path(folder) / "run"
    arguments = (*ARGUMENTS, f"--workdir={run}", *more)
    return forks.Child("train_vgg", arguments, folder=run, **keywords)


def train(folder, *more, **keywords):
    """Makes the run to its end; returns a `forks.Ended`."""
    return forks.end(start(folder, *more, **keywords))


def reference(folder):
    """Makes the run without a fault; returns a `Reference`."""
    folder = Path(folder)
    (folder / "to_stop").mkdir(parents=True)
    count = folder / "count"
    ended = train(
        folder, on_operation=lambda number, path: count.write_text(str(number))
    )
    assert ended.finding() == "finished", ended.output
    stopped = folder / "to_stop" / "run"

    def stop(number, path):
        # At the row after the checkpoint.
        if path.endswith("metrics.jsonl") and (stopped / "checkpoint.npz").exists():
            os.kill(os.getpid(), signal.SIGKILL)

    train(folder / "to_stop", on_operation=stop)
    return Reference(
        contents(folder / "run"),
        ended.seconds,
        int(count.read_text()),
        {"finished": folder / "run", "stopped": stopped},
    )


def difference(run, expected, without=None):
    """Returns "equal", or the names of what a run has left otherwise.

    Args:
        run: The run directory.
        expected: Returned by `contents`.
        without: Name of something that need not be equal.
    """
    found = contents(run, without)
    names = [
        name
        for name in sorted(found.keys() | expected.keys())
        if name != without and found.get(name) != expected.get(name)
    ]
    return f"different: {', '.join(names)}" if names else "equal"


def contents(run, without=None):
    """Returns everything that a run left behind, apart from times and paths.

    Args:
        run: The run directory.
        without: Name of a file to leave out.
    """
    run = Path(run)
    readers = {
        "training_curves.png": Path.read_bytes,
        "result.json": lambda path: (
            json.loads(path.read_text()) | {"steps_per_second": None}
        ),
        "config.json": lambda path: (
            json.loads(path.read_text())["flags"] | {"workdir": None}
        ),
        "checkpoint.npz": _arrays,
        "model.keras": _weights,
        **{path.name: Path.read_bytes for path in run.glob("*.jsonl")},
        **{path.name: _curves for path in run.iterdir() if path.is_dir()},
        **{path.name: Path.read_bytes for path in run.glob("partial-*")},
    }
    return {name: read(run / name) for name, read in readers.items() if name != without}


def _arrays(path):
    with np.load(path) as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files}


def _weights(path):
    # The other files in it name the time and the addresses of objects.
    with zipfile.ZipFile(path) as file:
        return file.read("model.weights.h5")


def _curves(folder):
    """Returns what TensorBoard shows of a folder: a dict from tag to points."""
    events = EventAccumulator(str(folder))
    events.Reload()
    # The layout of a dashboard is written again whenever training starts.
    return {
        tag: {
            (event.step, event.tensor_proto.SerializeToString())
            for event in events.Tensors(tag)
        }
        for tag in events.Tags()["tensors"]
    }
