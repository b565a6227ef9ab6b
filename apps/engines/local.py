"""Jobs, their progress, and the engine that runs them on this machine."""

import collections
import ctypes
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

# Loaded here, because little is safe between the fork of a process and its program.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclasses.dataclass(frozen=True)
class Job:
    """A command to run.

    Attributes:
        name: Name to print with the progress.
        arguments: List of arguments for the Python interpreter.
        minutes: Expected duration; only the proportions between jobs matter.
    """

    name: str
    arguments: list
    minutes: float


@dataclasses.dataclass
class Outcome:
    """Result of running jobs.

    Attributes:
        failed: Dict from the name of each failed job to the reason, see `follow`.
        left: Names of the jobs that did not end in time.
    """

    failed: dict = dataclasses.field(default_factory=dict)
    left: list = dataclasses.field(default_factory=list)


def run_jobs(jobs, at_once=1, done_minutes=0.0, time_limit=None):
    """Runs jobs in order and prints their progress.

    A failing job does not stop the others. If the caller is interrupted, all jobs are.

    Args:
        jobs: List of `Job`.
        at_once: Number of jobs to run at the same time, sharing the cores.
        done_minutes: Minutes of jobs that were done before, for the progress.
        time_limit: Minutes after which running jobs are stopped, or None.

    Returns:
        An `Outcome`.
    """
    progress = Progress(jobs, done_minutes)
    threads = max(1, (os.cpu_count() or 1) // at_once)
    outcome = Outcome(left=[job.name for job in jobs])
    processes, stop = set(), threading.Event()

    def run(job):
        process = start(job.arguments, threads)
        processes.add(process)
        if stop.is_set():  # started while the others were being terminated
            process.terminate()
        last_line = follow(process, lambda line: progress.show(job, line))
        processes.discard(process)
        progress.finish(job)
        return last_line

    with ThreadPoolExecutor(at_once) as pool:
        futures = {pool.submit(run, job): job.name for job in jobs}
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


def start(arguments, threads):
    """Starts a program that ends when this process does.

    Args:
        arguments: List of arguments for the Python interpreter.
        threads: Number of threads that the program may compute with.

    Returns:
        A `subprocess.Popen`, whose `stdout` holds all output.
    """
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": str(threads),
            "TF_NUM_INTRAOP_THREADS": str(threads),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=_end_with_parent if _LIBC else None,
    )


def follow(process, on_line=lambda line: None):
    """Waits for a program; returns why it failed, or None.

    The reason is the signal that killed it, else its last line of output, apart from
    absl's hint on help, which follows the mistake in a flag.

    Args:
        process: Returned by `start`.
        on_line: Function to call with each line of output.
    """
    lines = collections.deque(maxlen=1)
    with process:
        for line in process.stdout:
            line = line.strip()
            if line and not line.startswith("Pass --help"):
                lines.append(line)
                on_line(line)
    if process.returncode == 0:
        return None
    if process.returncode < 0:
        return f"killed by {signal.Signals(-process.returncode).name}"
    return lines[-1] if lines else f"exit code {process.returncode} without output"


def _end_with_parent():
    """Asks Linux to kill this process when its parent dies, even by SIGKILL."""
    _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Progress:
    """Prints lines with the share of all jobs that is done, and the time left.

    Args:
        jobs: List of `Job`.
        done_minutes: Minutes of jobs that were done before.
    """

    def __init__(self, jobs, done_minutes=0.0):
        self._count = len(jobs)
        self._finished = 0
        self._total = done_minutes + sum(job.minutes for job in jobs)
        self._done_before = self._done = done_minutes
        self._running = {}
        self._started_at = time.monotonic()
        self._lock = threading.Lock()

    def show(self, job, line):
        """Prints a job's line if it reports the job's progress."""
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
        new = done - self._done_before
        left = ""
        if new > 0:
            elapsed = (time.monotonic() - self._started_at) / 60
            left = f", {_duration(elapsed * (self._total - done) / new)} left"
        print(
            f"[{self._finished} of {self._count} runs, {done / self._total:.0%}{left}] "
            f"{line}",
            flush=True,
        )


def _duration(minutes):
    hours, minutes = divmod(round(minutes), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
