"""Runs jobs on whatever cluster Ray is connected to."""

import socket

from apps.engines.jobs import Outcome, follow, start
from apps.engines.progress import Progress


def run_jobs(jobs, address=None, cpus=1, gpus=0.0, done_minutes=0.0):
    """Runs jobs wherever the cluster has room for them.

    The nodes need this package, and their run directories on storage that they share.
    A job whose node dies is run again on another one, where its program goes on from
    its checkpoint. A job that fails by itself is not, and stops no other one.

    Args:
        jobs: List of `Job`.
        address: Of the cluster, as `ray.init` takes it; None finds the one that
            runs on this machine.
        cpus: Cores that each job asks for, and computes with.
        gpus: GPUs that each job asks for.
        done_minutes: Of jobs that were done before, for the progress.

    Returns:
        An `Outcome`.

    Raises:
        ValueError: Ray is not installed, or there is no cluster.
    """
    ray = _connect(address)

    # -1: however often a node dies. Errors of Python are not retried.
    @ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=-1)
    def run(arguments):
        return follow(start(arguments, threads=max(1, int(cpus))))

    progress = Progress(jobs, done_minutes)
    outcome = Outcome(left=[job.name for job in jobs])
    try:
        waiting = {run.remote(job.arguments): job for job in jobs}
        while waiting:
            (ended,), _ = ray.wait(list(waiting))
            job = waiting.pop(ended)
            outcome.left.remove(job.name)
            last_line = ray.get(ended)
            if last_line is not None:
                outcome.failed[job.name] = last_line
            progress.finish(job)
    finally:
        # Ends what is still running, too.
        ray.shutdown()
    return outcome


def _connect(address):
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            '--engine=ray needs Ray; pip install "keras-bnsmooth[ray]".'
        ) from error
    no_cluster = (
        f"there is no Ray cluster at {address or 'this machine'}; start one with "
        "`ray start --head`, or pass its --ray_address."
    )
    if address is not None and not _answers(address):
        raise ValueError(no_cluster)
    try:
        ray.init(address=address or "auto", log_to_driver=False, logging_level="error")
    except ConnectionError as error:
        raise ValueError(no_cluster) from error
    return ray


def _answers(address):
    """Whether something listens at HOST:PORT; Ray would go on asking for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=10):
            return True
    except (OSError, ValueError):
        return False
