"""How programs end, with a program for each way."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tests.apps.run_app import error_of


def _run(body, *arguments, keywords="", **more):
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
        **more,
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


def test_an_interruption_that_comes_out_as_another_error_is_one():
    body = """
        try:
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                pass
        except KeyboardInterrupt:
            raise SystemError("of compiled code")
    """
    _check_interrupted(_run(body.strip(), preexec_fn=_allow_interruptions))


def test_an_interruption_in_a_destructor_is_not_lost():
    body = """
        class Interrupted:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)
                while True:
                    pass
        Interrupted()
        while True:
            pass
    """
    _check_interrupted(_run(body.strip(), preexec_fn=_allow_interruptions, timeout=60))


def test_an_interruption_before_the_program_starts_shows_no_traceback():
    program = subprocess.Popen(
        [sys.executable, "-v", "-m", "apps.train_dln"],
        stderr=subprocess.PIPE,
        preexec_fn=_allow_interruptions,
        text=True,
    )
    with program:
        # Python names each module that it has imported.
        while "import 'numpy" not in program.stderr.readline():
            pass
        program.send_signal(signal.SIGINT)
        assert "Traceback" not in program.stderr.read()
    assert program.returncode == -signal.SIGINT


def _allow_interruptions():
    # Whatever started the tests may ignore interruptions.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _check_interrupted(done):
    assert done.returncode == 130
    assert done.stderr.endswith("\nInterrupted.\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("bytearray(2**62)", "the memory of this machine is not enough; make the"),
        ("main(*arguments)", "the network has too many layers for Python"),
        ("raise UserError('a\\x1b[31m b')", "Error: a\\x1b[31m b"),
    ],
)
def test_limits_of_the_machine_and_control_characters_are_one_line(body, line):
    assert line in error_of(_run(body))


def test_a_file_of_flags_that_cannot_be_read_is_one_line(tmp_path):
    path = tmp_path / "flags"
    path.write_bytes(b"\xe8")
    assert "cannot be read" in error_of(_run("pass", f"--flagfile={path}"))


def test_control_characters_in_arguments_do_not_reach_the_terminal():
    line = error_of(
        _run("print(arguments)", "a\x1b[31m", keywords="accepts_paths=True")
    )
    assert line.startswith("Error: the argument a\\x1b[31m has control characters")


def test_a_console_without_unicode_is_enough():
    done = _run("print('\u2713')", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "\\u2713\n")


def test_a_link_to_nowhere_is_not_said_to_exist(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    line = error_of(_run(f"os.makedirs({str(link)!r}, exist_ok=True)"))
    assert line.startswith(f"Error: {link} is no folder, but a file or a link to")
