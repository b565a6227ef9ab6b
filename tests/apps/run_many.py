"""Runs a program several times in one process, each with other flags.

    python -m tests.apps.run_many NAME '[["--flag=1"], ["--flag=2"]]'

Prints the exit code and what was written to standard error, as JSON, one line per run.
"""

import contextlib
import importlib
import io
import json
import sys

from absl import flags

from apps import program

if __name__ == "__main__":
    name, runs = sys.argv[1], json.loads(sys.argv[2])
    module = importlib.import_module(f"apps.{name}")
    for arguments in runs:
        flags.FLAGS.unparse_flags()
        sys.argv = [name, *arguments]
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                program.run(module.main)
            except SystemExit as end:
                code = end.code
        print(json.dumps([code, errors.getvalue()]), flush=True)
