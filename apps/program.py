"""Entry point of every program; reports the user's mistakes in one line."""

import os
import shlex
import sys
import traceback

from absl import app, flags, logging

from apps.errors import DivergedError, ProcessLostError, UserError
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

    def guarded_main(arguments):
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
        except KeyboardInterrupt:
            hint = "; rerun the same command to resume" if resumable else ""
            print(f"\nInterrupted{hint}.", file=sys.stderr)
            sys.exit(130)
        except (UserError, OSError, DivergedError, ProcessLostError) as error:
            if logging.get_verbosity() >= logging.DEBUG:
                traceback.print_exc()
            else:
                print(_one_line(error), file=sys.stderr)
            _exit_with_failure()
        except Exception:
            traceback.print_exc()
            _exit_with_failure()

    app.run(guarded_main)


def command_line():
    """Returns the command that started this process."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"python -m {spec.name}" if spec else f"python {sys.argv[0]}"
    return " ".join([program, *map(shlex.quote, sys.argv[1:])])


def _exit_with_failure():
    if processes.count() > 1:
        # A normal exit would make JAX wait minutes for the other processes and abort.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    sys.exit(1)


def _one_line(error):
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        where = error.filename or "reading or writing a file"
        message = f"{where}: {error.strerror}."
    return "Error: " + " ".join(message.split())
