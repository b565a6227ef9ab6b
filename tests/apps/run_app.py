"""Runs programs as a user does, in another process."""

import json
import subprocess
import sys


def command(name, *arguments):
    return [sys.executable, "-m", f"apps.{name}", *map(str, arguments)]


def run_app(name, *arguments, **keywords):
    return subprocess.run(
        command(name, *arguments), capture_output=True, text=True, **keywords
    )


def run_many(name, *argument_lists):
    """Runs a program several times in one process, for mistakes that end it early."""
    runs = json.dumps([list(map(str, arguments)) for arguments in argument_lists])
    arguments = [sys.executable, "-m", "tests.apps.run_many", name, runs]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(argument_lists)
    return [
        subprocess.CompletedProcess(run, code, "", errors)
        for run, (code, errors) in zip(argument_lists, results, strict=True)
    ]


def error_of(done):
    """The one line that explains a failure, which must be all there is."""
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    lines = [
        line
        for line in done.stderr.splitlines()
        # TensorFlow's own log; some of its messages have a second line.
        if not line.startswith(
            ("I0000", "W0000", "E0000", "WARNING: All log", "\t [[{{node")
        )
    ]
    assert len(lines) == 1, lines
    return lines[0]
