"""A program to be run, and what became of it."""

import collections
import ctypes
import dataclasses
import os
import signal
import subprocess
import sys

# Loaded now, since little may be done between the fork of a process and its program.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclasses.dataclass(frozen=True)
class Job:
    """A command to be run.

    Attributes:
        name: For the lines of progress.
        arguments: Of the Python interpreter.
        minutes: How long it may take; only the proportions between jobs count.
    """

    name: str
    arguments: list
    minutes: float


@dataclasses.dataclass
class Outcome:
    """What became of jobs.

    Attributes:
        failed: Dict from the name of each job that failed to its last line of output.
        left: Names of those that did not end before time was up.
    """

    failed: dict = dataclasses.field(default_factory=dict)
    left: list = dataclasses.field(default_factory=list)


def start(arguments, threads):
    """Starts a program that ends when this process does; its output is a pipe.

    Args:
        arguments: Of the Python interpreter.
        threads: That it may compute with.

    Returns:
        A `subprocess.Popen`.
    """
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": str(threads),
            "TF_NUM_INTRAOP_THREADS": str(threads),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=_end_with_parent if _LIBC else None,
    )


def follow(process, on_line=lambda line: None):
    """Waits for a program; returns its last line if it failed, else None.

    Args:
        process: As `start` returns it.
        on_line: Is called with each line of output.
    """
    lines = collections.deque(maxlen=1)
    with process:
        for line in process.stdout:
            line = line.strip()
            if line:
                lines.append(line)
                on_line(line)
    if process.returncode == 0:
        return None
    return lines[-1] if lines else f"exit code {process.returncode}, without a word"


def _end_with_parent():
    """Asks Linux to end this process when its parent dies, even of SIGKILL."""
    _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
