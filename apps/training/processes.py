"""The processes that train one model together (JAX only).

Every process computes everything, probes too, since each holds a share of the batch;
the first one alone writes.
"""

import contextlib
import sys

from keras_bnsmooth import backend


def count():
    """Returns how many processes train the model."""
    return _jax().process_count() if _have_joined() else 1


def index():
    """Returns the number of this process, from 0."""
    return backend.process_index()


def is_writer():
    """Returns whether this process is the one that writes files and the terminal."""
    return index() == 0


def agree_on(value, what):
    """Checks that all processes have the same integer.

    Raises:
        ValueError: They have not; the line says what they have of `what`.
    """
    if count() == 1:
        return
    from jax.experimental import multihost_utils

    values = multihost_utils.process_allgather(value).ravel().tolist()
    if len(set(values)) > 1:
        raise ValueError(
            f"the processes do not agree on {what}: {', '.join(map(str, values))}; "
            "give them the same command and storage that they share."
        )


def wait_for_all():
    """Returns when all processes have come here.

    To be called at the end: what one process computes last, others may still wait for.
    """
    if count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("wait_for_all")


def leave():
    """Takes this process out of the run, as its last act.

    The first process stays until the others have left: it is their coordinator, and
    JAX aborts a process that cannot tell the coordinator that it ends.
    """
    if not _have_joined():
        return
    if is_writer():
        from jax.experimental import multihost_utils

        with multihost_utils.live_devices(_jax().devices()):
            pass  # Entered when each process is here or gone; the others never come.
    _jax().distributed.shutdown()


@contextlib.contextmanager
def alone():
    """Context in which this process makes Keras variables of its own."""
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
def ends_with_others():
    """Context in which the end of another process is a `ProcessLostError`."""
    if count() == 1:
        yield
        return
    try:
        yield
    except Exception as error:
        # Gloo is what processes on CPUs talk through; that it fails is not always told
        # by the same exception.
        lost = isinstance(error, _jax().errors.JaxRuntimeError) or "Gloo" in str(error)
        if not lost:
            raise
        raise ProcessLostError(str(error)) from error


class ProcessLostError(RuntimeError):
    """Another process of the run has ended, or cannot be reached."""

    def __init__(self, cause):
        super().__init__(
            "another process of this run has ended or cannot be reached; start all of "
            f"them again, and they go on from the last checkpoint ({cause[:200]})."
        )


def _have_joined():
    """Whether `training.strategy.start` has made this process one of several."""
    return "jax" in sys.modules and _jax().distributed.is_initialized()


def _jax():
    import jax

    return jax
