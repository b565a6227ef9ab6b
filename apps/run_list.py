"""Runs a list of programs, several at a time, until all are done or time is up.

    python -m apps.run_list runs.txt --jobs=3 --minutes=9

A line of the list is a name and a program with its flags:

    bn_seed0 train_vgg --dataset=cifar10.npz --norm=bn

Each run has its run directory in --work. Its records, without weights, are copied to
--output when it ends and when time is up. The same command goes on with what is left:
a run whose result is in --output is not run again, and one that was stopped goes on
from its checkpoint.
"""

import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from absl import flags

from apps import program

FLAGS = flags.FLAGS

flags.DEFINE_string("work", "runs", "Folder of the run directories.")
flags.DEFINE_string("output", "results", "Folder for what they leave, but weights.")
flags.DEFINE_integer("jobs", 1, "Runs at a time.", lower_bound=1)
flags.DEFINE_float("minutes", None, "Time after which all is stopped.", lower_bound=0.0)
flags.DEFINE_string(
    "more", "", "Flags that every run gets as well, such as '--width=4 --steps=60'."
)

_WEIGHTS = ("*.keras", "*.npz", "events.out.tfevents.*")


def read_list(path):
    """Returns the runs in the file at `path` as a dict from name to arguments."""
    runs = {}
    for number, line in enumerate(Path(path).read_text().splitlines(), start=1):
        name, *arguments = shlex.split(line, comments=True) or [""]
        if not name:
            continue
        if not arguments or name in runs or "/" in name:
            raise ValueError(
                f"{path}, line {number}: a line must be a name of its own and a "
                f"program with its flags; received {line!r}."
            )
        runs[name] = arguments
    return runs


class Run:
    """A program that runs in a process of its own."""

    def __init__(self, name, arguments):
        self.name = name
        self._directory = Path(FLAGS.work, name)
        self._log = Path(FLAGS.work, f"{name}.log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command, *own_flags = arguments
        with open(self._log, "a") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", f"apps.{command}", *own_flags),
                    *(*shlex.split(FLAGS.more), f"--workdir={self._directory}"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        print(f"{name} started.", flush=True)

    def stop(self):
        """Ends the program at once; its last checkpoint is what it goes on from."""
        self.process.kill()
        self.process.wait()

    def collect(self):
        """Copies what the run has left so far, but weights, and says how far it is."""
        if self._directory.exists():
            shutil.copytree(
                self._directory,
                Path(FLAGS.output, self.name),
                ignore=shutil.ignore_patterns(*_WEIGHTS),
                dirs_exist_ok=True,
            )
        last_line = (self._log.read_text().splitlines() or [""])[-1]
        print(f"{self.name}: {last_line}", flush=True)


def main(paths):
    """Runs the list."""
    if len(paths) != 1:
        raise ValueError("pass one file, the list of runs.")
    waiting = {
        name: arguments
        for name, arguments in read_list(paths[0]).items()
        if not Path(FLAGS.output, name, "result.json").exists()
    }
    running, failed = [], []
    deadline = time.monotonic() + 60 * (FLAGS.minutes or float("inf"))
    while (waiting or running) and time.monotonic() < deadline:
        while waiting and len(running) < FLAGS.jobs:
            name = next(iter(waiting))
            running.append(Run(name, waiting.pop(name)))
        time.sleep(0.2)
        for run in [run for run in running if run.process.poll() is not None]:
            running.remove(run)
            run.collect()
            if run.process.returncode:
                failed.append(run.name)
    left = [run.name for run in running] + list(waiting)
    for run in running:
        run.stop()
        run.collect()
    print(f"{FLAGS.output} holds the records.")
    if left:
        print(f"Time is up with {', '.join(left)} left; run the same command again.")
    if failed:
        raise ValueError(f"failed: {', '.join(failed)}; see the logs in {FLAGS.work}.")


if __name__ == "__main__":
    program.run(main, takes_paths=True)
