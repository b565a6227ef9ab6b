import sys

import pytest

from tests.apps.distribution.processes import finish, started

# The process of that number comes to its end seconds after the other.
PROGRAM = """
import sys, time
from apps.training import processes
from apps.training import strategy

strategy.start("data_parallel")
processes.wait_for_all()
if processes.index() == int(sys.argv[1]):
    time.sleep(2)
processes.leave()
"""


@pytest.mark.usefixtures("on_jax")
@pytest.mark.parametrize("late", [0, 1])
def test_processes_end_well_in_any_order(late):
    command = [sys.executable, "-c", PROGRAM, str(late)]
    with started([command, command]) as processes:
        finish(processes)
