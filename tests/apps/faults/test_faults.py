"""Some faults of each kind; BUILD.md names the command for any number of them."""

import subprocess
import sys

import pytest


# A process of its own: nothing may have been computed with TensorFlow before it forks.
@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(
    "counts",
    [
        ("--kills=6",),
        ("--disks=6",),
        ("--resumes=6",),
        ("--pairs=2",),
        ("--flags=40", "--jobs=1"),
    ],
)
def test_nothing_is_lost_and_every_mistake_is_one_line(counts):
    done = subprocess.run(
        [sys.executable, "-m", "tests.apps.faults", *counts],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kind, count = counts[0].removeprefix("--").split("=")
    assert done.stdout.count(f"\n{kind} ") + done.stdout.startswith(kind) == int(count)
