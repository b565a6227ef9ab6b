"""Entry point of every program; reports the user's mistakes in one line."""

import os
import shlex
import signal
import sys
import threading
import traceback

from absl import app, flags, logging

from apps.errors import (
    DivergedError,
    ProcessLostError,
    UserError,
    limit_of_machine,
    one_line,
)
from apps.training import processes


def run(main, accepts_paths=False, resumable=False):
    """Runs `main()`, or `main(paths)` if the program accepts paths, as an absl app.

    Exit codes: 0 success; 1 failure, with one line on standard error for a user's
    mistake (`--verbosity=1` adds the traceback) and a traceback for a bug; 130
    interrupted.

    Args:
        main: The program.
        accepts_paths: Whether the program accepts positional arguments.
        resumable: Whether rerunning the same command resumes an interrupted run.
    """
    interrupted = False

    def interrupt(number, frame):
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    def end():
        # Nothing is left to interrupt, and Python would show a traceback.
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def guarded_main(arguments):
        # In the background, shells let processes ignore interruptions.
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, interrupt)
            sys.unraisablehook = _interrupt_again
        if not flags.FLAGS["verbosity"].present:
            # Libraries log their own progress, which would bury that of a run.
            logging.set_verbosity(logging.WARNING)
        try:
            if accepts_paths:
                main(arguments[1:])
            elif len(arguments) > 1:
                raise UserError(
                    f"unexpected argument {arguments[1]}; pass flags as --NAME=VALUE."
                )
            else:
                main()
            processes.leave()
            end()
        except (KeyboardInterrupt, Exception) as error:
            end()
            # In compiled code, an interruption can come out as any other error.
            if interrupted or isinstance(error, KeyboardInterrupt):
                hint = "; rerun the same command to resume" if resumable else ""
                print(f"\nInterrupted{hint}.", file=sys.stderr)
                sys.exit(130)
            _print_error(error)
            _exit_with_failure()

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A console may lack characters of our tables and of the user's paths.
            stream.reconfigure(errors="backslashreplace")
    app.run(guarded_main, flags_parser=_parse_flags)


def _interrupt_again(unraisable):
    """Repeats an interruption that arrived in a destructor, where Python drops it."""
    if unraisable.exc_type is KeyboardInterrupt:
        threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
    else:
        sys.__unraisablehook__(unraisable)


def command_line():
    """Returns the command that started this process."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"python -m {spec.name}" if spec else f"python {sys.argv[0]}"
    return " ".join([program, *map(shlex.quote, sys.argv[1:])])


def _parse_flags(arguments):
    """Parses flags as absl does; mistakes in a --flagfile are the user's, too."""
    for argument in arguments[1:]:
        # Programs print paths, and a terminal would obey what is in them.
        if any(c < " " and not c.isspace() for c in argument):
            print(
                f"Error: the argument {one_line(argument)} has control characters; "
                "remove them.",
                file=sys.stderr,
            )
            sys.exit(1)
    try:
        return app.parse_flags_with_usage(arguments)
    except (ValueError, OSError, RecursionError) as error:
        print(f"Error: the flags cannot be read ({one_line(error)}).", file=sys.stderr)
        sys.exit(1)


def _print_error(error):
    known = (UserError, OSError, DivergedError, ProcessLostError)
    if not isinstance(error, known):
        error = limit_of_machine(error)
    if error is None or logging.get_verbosity() >= logging.DEBUG:
        traceback.print_exc()
        return
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        where = error.filename or "reading or writing a file"
        message = f"{where}: {error.strerror}."
        if isinstance(error, FileExistsError):
            message = (
                f"{where} is no folder, but a file or a link to nowhere; remove it or "
                "pass another path."
            )
    print(f"Error: {one_line(message)}", file=sys.stderr)


def _exit_with_failure():
    if processes.count() > 1:
        # A normal exit would make JAX wait minutes for the other processes and abort.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    sys.exit(1)
