import subprocess
import sys

import pytest

from apps.training.errors import RunError
from apps.training.run_directory import RunDirectory

CONFIG = {"flags": {"norm": "bn"}}
HOLD = """
import sys
from apps.training.run_directory import RunDirectory
run = RunDirectory(sys.argv[1], {"flags": {"norm": "bn"}})
print("held", flush=True)
sys.stdin.read()
"""


def test_two_processes_do_not_write_the_same_run(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "run"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="in use by another process; wait"):
            RunDirectory(tmp_path / "run", CONFIG)
        other.kill()
    # However it ended, the next one may go on; and so may the process itself.
    first = RunDirectory(tmp_path / "run", CONFIG)
    assert RunDirectory(tmp_path / "run", CONFIG).path == first.path
