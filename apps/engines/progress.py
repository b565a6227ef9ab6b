"""Progress over all jobs, in the terminal."""

import threading
import time


class Progress:
    """Prints lines with how much of all jobs is done, and the time left.

    Args:
        jobs: List of `Job`.
        done_minutes: Of jobs that were done before.
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
