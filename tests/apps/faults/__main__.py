"""Tries any number of faults of each kind on the programs.

    python -m tests.apps.faults --kills=300 --disks=100 --flags=200 --pairs=20

kills: a run is killed once or twice by KILL, TERM or INT, at random times and at file
    operations, and started again.
disks: file operations of a run fail, as on full or broken disks; then it is started
    again on a good one.
resumes: a file of a stopped or finished run is damaged, and the run started again.
flags: a program gets a wrong flag, argument or data set.
pairs: two runs with different flags are started in one directory at the same time.

A run must end byte for byte like one that nothing disturbed, and everything else with
one line that says what is wrong. Prints each fault and how it ended, then the counts;
the exit code is 1 if anything else happened. `tests.apps.faults.damages` damages
what the other programs read.
"""

import argparse
import collections
import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.apps.faults import digits
from tests.apps.faults.disks import try_disk
from tests.apps.faults.flags import try_flag
from tests.apps.faults.kills import try_kill
from tests.apps.faults.pairs import try_pair
from tests.apps.faults.resumes import try_resume

_KINDS = {
    "kills": try_kill,
    "disks": try_disk,
    "resumes": try_resume,
    "flags": try_flag,
    "pairs": try_pair,
}


def _try(task):
    kind, seed, folder, reference = task
    folder = Path(folder) / f"{kind}{seed}"
    folder.mkdir()
    try:
        what, found = _KINDS[kind](seed, folder, reference)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return kind, seed, what, found


def main():
    """Tries the faults that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for kind in _KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=0, help="of the first fault")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time")
    options = parser.parse_args()
    # Programs that run at the same time would wait for each other's threads.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    # TensorBoard's reader warns of each restart.
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    tasks = [
        (kind, seed)
        for kind in _KINDS
        for seed in range(options.seed, options.seed + getattr(options, kind))
    ]
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        # Wrong flags alone need no run to compare with.
        needed = any(kind != "flags" for kind, _ in tasks)
        reference = digits.reference(folder) if needed else None
        with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
            for kind, seed, what, found in pool.imap_unordered(
                _try, [(*task, folder, reference) for task in tasks]
            ):
                known = found in ("equal", "one line", "finished")
                counts[kind, found if known else "anything else"] += 1
                print(f"{kind} {seed}, {what}: {found}", flush=True)
    for (kind, found), count in sorted(counts.items()):
        print(f"{kind}: {count} {found}")
    sys.exit(any(found == "anything else" for _, found in counts))


if __name__ == "__main__":
    main()
