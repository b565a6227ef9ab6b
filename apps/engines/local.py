"""Runs jobs on this machine, several at a time."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

from apps.engines.jobs import Outcome, follow, start
from apps.engines.progress import Progress


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
    progress = Progress(jobs, done_minutes)
    threads = max(1, (os.cpu_count() or 1) // at_once)
    outcome = Outcome(left=[job.name for job in jobs])
    processes, stop = set(), threading.Event()

    def run(job):
        process = start(job.arguments, threads)
        processes.add(process)
        if stop.is_set():  # it was started while the others were being ended
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
