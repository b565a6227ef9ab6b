"""Processes of one run on this machine, over loopback."""

import contextlib
import os
import socket
import subprocess


@contextlib.contextmanager
def started(commands):
    """Starts each command as a process of one distributed run; kills what is left.

    Args:
        commands: A command line for each process.

    Yields:
        The `subprocess.Popen` objects, whose `stdout` holds all output.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(len(commands)),
        "JAX_COORDINATOR_BIND_ADDRESS": address,
    }
    processes = [
        subprocess.Popen(
            command,
            env={**environment, "KERAS_DISTRIBUTION_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number, command in enumerate(commands)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def finish(processes):
    """Waits for all of them, each of which must end well."""
    for process in processes:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
