"""Runs commands on this machine, several at a time, and shows progress over all."""

import collections
import dataclasses
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed


@dataclasses.dataclass(frozen=True)
class Job:
    """A command to be run.

    Attributes:
        name: For the lines of progress.
        arguments: Of the Python interpreter.
        minutes: How long it may take; only the proportions between jobs count.
    """

    name: str
    arguments: list
    minutes: float


@dataclasses.dataclass
class Outcome:
    """What became of jobs.

    Attributes:
        failed: Dict from the name of each job that failed to its last line of output.
        left: Names of those that did not end before time was up.
    """

    failed: dict = dataclasses.field(default_factory=dict)
    left: list = dataclasses.field(default_factory=list)


def run_jobs(jobs, at_once=1, done_minutes=0.0, time_limit=None):
    """Runs jobs, in their order, and prints the lines that they print.

    A job that fails stops no other one. When the caller is interrupted, all are.

    Args:
        jobs: List of `Job`.
        at_once: Number of jobs that run at the same time; the cores are divided
            between them.
        done_minutes: Of jobs that were done before, for the progress.
        time_limit: Minutes after which all that still runs is stopped, or None.

    Returns:
        An `Outcome`.
    """
    progress = _Progress(jobs, done_minutes)
    threads = max(1, (os.cpu_count() or 1) // at_once)
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
    }
    outcome = Outcome(left=[job.name for job in jobs])
    processes, stop = set(), threading.Event()
    with ThreadPoolExecutor(at_once) as pool:
        futures = {
            pool.submit(_run, job, environment, progress, processes, stop): job.name
            for job in jobs
        }
        try:
            seconds = None if time_limit is None else 60 * time_limit
            for future in as_completed(futures, timeout=seconds):
                name = futures[future]
                outcome.left.remove(name)
                last_line = future.result()
                if last_line is not None:
                    outcome.failed[name] = last_line
        except TimeoutError:
            print("Time is up.", flush=True)
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(processes):
                process.terminate()
    return outcome


def _run(job, environment, progress, processes, stop):
    """Runs one job; returns its last line if it failed, else None."""
    process = subprocess.Popen(
        [sys.executable, *job.arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    processes.add(process)
    if stop.is_set():  # it was started while the others were being ended
        process.terminate()
    lines = collections.deque(maxlen=1)
    with process:
        for line in process.stdout:
            line = line.strip()
            if line:
                lines.append(line)
                progress.show(job, line)
    processes.discard(process)
    progress.finish(job)
    if process.returncode == 0:
        return None
    return lines[-1] if lines else f"exit code {process.returncode}, without a word"


class _Progress:
    """Prints lines with how much of all jobs is done, and the time left."""

    def __init__(self, jobs, done_minutes):
        self._count = len(jobs)
        self._finished = 0
        self._total = done_minutes + sum(job.minutes for job in jobs)
        self._done_before = self._done = done_minutes
        self._running = {}
        self._started_at = time.monotonic()
        self._lock = threading.Lock()

    def show(self, job, line):
        """Prints a line of a job if it tells how far the job is."""
        if not line.startswith("step "):
            return
        step, _, steps = line.split()[1].partition("/")
        with self._lock:
            self._running[job.name] = job.minutes * int(step) / int(steps)
            self._print(f"{job.name}: {line}")

    def finish(self, job):
        """Counts a job as done."""
        with self._lock:
            self._running.pop(job.name, None)
            self._done += job.minutes
            self._finished += 1
            self._print(f"{job.name}: ended")

    def _print(self, line):
        done = self._done + sum(self._running.values())
        fraction = done / self._total
        seconds = time.monotonic() - self._started_at
        fresh = done - self._done_before
        left = ""
        if fresh > 0:
            minutes = seconds / 60 * (self._total - done) / fresh
            left = f", {_hours(minutes)} left"
        print(
            f"[{self._finished} of {self._count} runs, {fraction:.0%}{left}] {line}",
            flush=True,
        )


def _hours(minutes):
    hours, minutes = divmod(round(minutes), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
