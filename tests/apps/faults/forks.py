"""Programs in forked children of a process that has imported what they need.

A child has its own flags, signals, limits and exit code, as any process has, but starts
without the seconds that the imports take. The parent must not have computed anything
with TensorFlow, whose threads would be missing in the child.
"""

import dataclasses
import fcntl
import os
import re
import runpy
import signal
import sys
import time
import traceback

import matplotlib.figure  # noqa: F401
import sklearn.datasets  # noqa: F401

import apps.claims
import apps.figures.training_curves
import apps.report.page
import apps.training.run_flags
import apps.training.train  # noqa: F401

# Events of `sys.audit` that are file operations, with the path as first argument.
_OPERATIONS = {
    *("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"),
    *("os.listdir", "os.scandir"),
}
# Longer than any program here takes on a busy machine.
_TIME_LIMIT = 300.0
_MOST_OUTPUT = 2**20


@dataclasses.dataclass
class Ended:
    """How a program ended.

    Attributes:
        code: Its exit code; the negative number of the signal that killed it.
        output: What it printed, with standard error.
        seconds: How long it ran.
        megabytes: The most memory that it used.
    """

    code: int
    output: str
    seconds: float
    megabytes: float

    def finding(self):
        """Returns "finished" or "one line", or else how it ended, in one line."""
        lines = [line for line in self.output.splitlines() if not _is_noise(line)]
        last = lines[-1] if lines else ""
        if "Traceback" in self.output:
            return f"traceback: {last}"
        if self.code == 0:
            return "finished"
        start = "Error: |FATAL Flags parsing error: "
        errors = [line for line in lines if re.match(start, line)]
        if self.code == 1 and len(errors) == 1 and errors[0] == last:
            return "one line"
        return f"exit code {self.code}: {' / '.join(lines[-3:])}"


def _is_noise(line):
    """Whether a line is TensorFlow's own log, or absl's hint on help."""
    return re.match(
        r"[IWE]\d{4} |WARNING: All log|\t \[\[\{\{node|Pass --help|\s*$", line
    )


class Child:
    """A program that runs in a forked child.

    Args:
        name: Name of the program in `apps`.
        arguments: Its command line.
        on_operation: Function to call in the child before each file operation on
            something in `folder`, with the number of the operation and the path.
        folder: See `on_operation`.
        before: Function to call in the child before the program starts.
    """

    def __init__(self, name, arguments, on_operation=None, folder=None, before=None):
        self._started_at = time.monotonic()
        # A pipe, since limits of disks must not affect it.
        self._output, output = os.pipe()
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _MOST_OUTPUT)
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(name, arguments, output, on_operation, folder, before)
        os.close(output)

    def _run(self, name, arguments, output, on_operation, folder, before):
        code = 1
        try:
            os.dup2(output, 1)
            os.dup2(output, 2)
            # Those of pytest or of a pool are not a user's.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.argv = [name, *map(str, arguments)]
            if before:
                before()
            if on_operation:
                _watch(on_operation, str(folder))
            runpy.run_module(f"apps.{name}", run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else bool(end.code)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(int(code or 0))

    def wait(self, seconds=_TIME_LIMIT):
        """Returns an `Ended`, or None if the program still runs after a while."""
        deadline = time.monotonic() + seconds
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                output = os.read(self._output, _MOST_OUTPUT).decode(errors="replace")
                os.close(self._output)
                return Ended(
                    os.waitstatus_to_exitcode(status),
                    output,
                    time.monotonic() - self._started_at,
                    usage.ru_maxrss / 1024,
                )
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)

    def send(self, number):
        """Sends a signal."""
        os.kill(self.pid, number)


def run(name, arguments, **keywords):
    """Runs a program to its end; returns an `Ended`. See `Child` for the arguments."""
    return end(Child(name, arguments, **keywords))


def end(child):
    """Waits for a program, and kills it if it does not end; returns an `Ended`."""
    ended = child.wait()
    if ended is None:
        child.send(signal.SIGKILL)
        ended = dataclasses.replace(child.wait(), output="did not end in time")
    return ended


def _watch(on_operation, folder):
    count = 0

    def hook(event, arguments):
        nonlocal count
        if event not in _OPERATIONS:
            return
        path = arguments[0]
        if isinstance(path, int) or path is None:
            return
        path = os.fsdecode(path)
        if path.startswith(folder):
            count += 1
            on_operation(count, path)

    sys.addaudithook(hook)
