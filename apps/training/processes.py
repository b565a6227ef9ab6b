"""Processes that train one model together (JAX only).

Each process holds a shard of the batch, so all of them run all computations, probes
included. Only the first one writes.
"""

import contextlib
import sys

from apps.errors import ProcessLostError, UserError
from keras_bnsmooth import backend


def count():
    """Returns the number of processes that train the model."""
    return _jax().process_count() if _have_joined() else 1


def index():
    """Returns the number of this process, from 0."""
    return backend.process_index()


def is_writer():
    """Returns whether this process writes to files and the terminal."""
    return index() == 0


def agree_on(value, what):
    """Checks that all processes have the same integer.

    Args:
        value: The integer.
        what: What it is, for the error message.

    Raises:
        UserError: The processes have different values.
    """
    if count() == 1:
        return
    from jax.experimental import multihost_utils

    values = multihost_utils.process_allgather(value).ravel().tolist()
    if len(set(values)) > 1:
        raise UserError(
            f"the processes do not agree on {what}: {', '.join(map(str, values))}; "
            "start them with the same command on shared storage."
        )


def wait_for_all():
    """Blocks until all processes reach this point.

    Call it at the end, since others may still wait for what this process computes last.
    """
    if count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("wait_for_all")


def leave():
    """Removes this process from the run; call it last.

    The first process waits for the others to leave, because it is their coordinator
    and JAX aborts a process that cannot report its end to the coordinator.
    """
    if not _have_joined():
        return
    if is_writer():
        from jax.experimental import multihost_utils

        with multihost_utils.live_devices(_jax().devices()):
            pass  # Entered once every other process has arrived here or ended.
    _jax().distributed.shutdown()


@contextlib.contextmanager
def alone():
    """Context in which Keras variables belong to this process alone."""
    if count() == 1:
        yield
        return
    import keras

    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


@contextlib.contextmanager
def detect_lost_processes():
    """Context in which the loss of another process raises a `ProcessLostError`.

    All other errors, such as running out of memory, pass unchanged.
    """
    if count() == 1:
        yield
        return
    try:
        yield
    except Exception as error:
        if not _is_lost_process(error):
            raise
        raise ProcessLostError(str(error)) from error


# Status codes of JAX's coordination service for processes that are gone, and words of
# the libraries that CPUs (Gloo) and GPUs (NCCL) communicate through.
_LOST_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED")
_LOST_WORDS = ("Gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")


def _is_lost_process(error):
    """Whether an error of JAX means that another process is gone."""
    # Failures of Gloo are not always a JaxRuntimeError.
    message = str(error)
    if "out of memory" in message.lower():
        return False
    return any(word in message for word in _LOST_WORDS) or (
        isinstance(error, _jax().errors.JaxRuntimeError)
        and message.startswith(_LOST_CODES)
    )


def _have_joined():
    """Whether `training.strategy.start` has joined this process to others."""
    return "jax" in sys.modules and _jax().distributed.is_initialized()


def _jax():
    import jax

    return jax
