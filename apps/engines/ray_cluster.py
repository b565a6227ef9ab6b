"""Engine that runs jobs on a Ray cluster."""

import signal
import socket
import subprocess
import sys

from apps.engines.local import Outcome, Progress, follow, start
from apps.errors import UserError

# Connecting takes a few seconds; without an answer, Ray keeps trying for minutes.
_CONNECT_SECONDS = 40


def run_jobs(jobs, address=None, cpus=1, gpus=0.0, done_minutes=0.0):
    """Runs jobs wherever the cluster has room for them.

    The nodes need this package, and shared storage for the run directories. If a node
    dies, its job is run again on another one and resumes from its checkpoint. A job
    that fails by itself is not run again, and does not stop the others.

    Args:
        jobs: List of `Job`.
        address: Address of the cluster for `ray.init`; None finds the one that runs on
            this machine.
        cpus: Cores that each job requests and computes with.
        gpus: GPUs that each job requests.
        done_minutes: Minutes of jobs that were done before, for the progress.

    Returns:
        An `Outcome`.

    Raises:
        UserError: Ray is not installed, or there is no cluster.
    """
    ray = _connect(address)
    # Ray ends the process with a dump of its stack.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    # -1: as often as nodes die. Python errors are not retried.
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
        # Also ends jobs that are still running.
        ray.shutdown()
    return outcome


def _connect(address):
    try:
        import ray
    except ImportError as error:
        raise UserError(
            '--engine=ray needs Ray; pip install "keras-bnsmooth[ray]".'
        ) from error
    no_cluster = UserError(
        f"there is no Ray cluster at {address or 'this machine'}; start one with "
        "`ray start --head`, or pass its --ray_address."
    )
    if address is not None and not (_answers(address) and _connects(address)):
        raise no_cluster
    try:
        ray.init(address=address or "auto", log_to_driver=False, logging_level="error")
    except ConnectionError as error:
        raise no_cluster from error
    return ray


def _connects(address):
    """Whether Ray connects, which may take another address than the given one."""
    code = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, address],
            capture_output=True,
            timeout=_CONNECT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _answers(address):
    """Whether something listens at HOST:PORT."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=10):
            return True
    except (OSError, ValueError):
        return False
