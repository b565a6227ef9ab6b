"""Runs a program as a user does: another process, its exit code and its output."""

import subprocess
import sys


def command(name, *arguments):
    return [sys.executable, "-m", f"apps.{name}", *map(str, arguments)]


def run_app(name, *arguments, **keywords):
    return subprocess.run(
        command(name, *arguments), capture_output=True, text=True, **keywords
    )


def error_of(done):
    """The one line that explains a failure, which must be all there is."""
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    lines = [
        line
        for line in done.stderr.splitlines()
        # What TensorFlow says while it is imported.
        if not line.startswith(("I0000", "W0000", "E0000", "WARNING: All log"))
    ]
    assert len(lines) == 1, lines
    return lines[0]
