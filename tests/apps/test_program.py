"""How programs end, with a program for each way."""

import subprocess
import sys
import textwrap

import pytest

from tests.apps.run_app import error_of


def _run(body, *arguments, keywords=""):
    code = f"""
    import os, signal, sys
    import keras
    from apps import program
    from apps.errors import DivergedError, UserError, user_errors

    def main(*arguments):
        {body}

    program.run(main, {keywords})
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
    )


def test_a_mistake_ends_in_one_line_without_verbosity():
    body = "raise UserError('two\\nlines')"
    assert error_of(_run(body)) == "Error: two lines"
    assert "Traceback" in _run(body, "--verbosity=1").stderr


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("keras.layers.Dense(-1)", "ValueError: Received an invalid value for `units`"),
        ("int('a')", "ValueError: invalid literal for int()"),
        ("raise RuntimeError('bug')", "RuntimeError: bug"),
    ],
)
def test_other_errors_show_a_traceback(body, line):
    done = _run(body)
    assert done.returncode == 1
    assert "Traceback" in done.stderr and line in done.stderr.splitlines()[-1]


def test_refused_arguments_are_the_users_mistake():
    body = "with user_errors(): int('a')"
    assert error_of(_run(body)).startswith("Error: invalid literal for int()")


def test_an_unexpected_argument_is_named():
    assert error_of(_run("pass", "norm=bn")) == (
        "Error: unexpected argument norm=bn; pass flags as --NAME=VALUE."
    )
    done = _run("print(arguments)", "path", keywords="accepts_paths=True")
    assert done.stdout == "(['path'],)\n"


def test_an_interruption_has_its_own_exit_code():
    done = _run("raise KeyboardInterrupt", keywords="resumable=True")
    assert done.returncode == 130
    expected = "\nInterrupted; rerun the same command to resume.\n"
    assert done.stderr.endswith(expected)
