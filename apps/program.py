"""How every program starts and how it fails: mistakes of the user end in one line."""

import os
import shlex
import sys
import traceback

from absl import app, flags, logging

from apps.training import processes
from apps.training.errors import DivergedError
from apps.training.processes import ProcessLostError


def run(main, takes_paths=False, goes_on=False):
    """Runs `main()` as an absl app, or `main(paths)` where it takes paths.

    Exit codes: 0 done; 1 the program could not do what was asked, and a line on
    standard error says why (`--verbosity=1` shows where); 130 interrupted.

    Args:
        main: The program.
        takes_paths: Whether it takes what the command line has beside flags.
        goes_on: Whether the same command goes on with what was interrupted.
    """

    def guarded_main(arguments):
        if not flags.FLAGS["verbosity"].present:
            # Libraries log their own progress, which would bury that of a run.
            logging.set_verbosity(logging.WARNING)
        try:
            if takes_paths:
                main(arguments[1:])
            elif len(arguments) > 1:
                raise ValueError(f"unexpected argument {arguments[1]}.")
            else:
                main()
            processes.leave()
        except KeyboardInterrupt:
            more = "; the same command goes on with it" if goes_on else ""
            print(f"\nInterrupted{more}.", file=sys.stderr)
            sys.exit(130)
        except (ValueError, OSError, DivergedError, ProcessLostError) as error:
            if logging.get_verbosity() >= logging.DEBUG:
                traceback.print_exc()
            else:
                print(_one_line(error), file=sys.stderr)
            _end_in_failure()

    app.run(guarded_main)


def command_line():
    """Returns the command that this process was started with."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"python -m {spec.name}" if spec else f"python {sys.argv[0]}"
    return " ".join([program, *map(shlex.quote, sys.argv[1:])])


def _end_in_failure():
    if processes.count() > 1:
        # At a usual exit JAX waits for the other processes, minutes, and then aborts.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    sys.exit(1)


def _one_line(error):
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        where = error.filename or "writing or reading a file"
        message = f"{where}: {error.strerror}."
    return "Error: " + " ".join(message.split())
