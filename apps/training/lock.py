"""One process at a time in a run directory."""

import errno

from apps.training.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# File systems that know no locks.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)


def lock(directory):
    """Keeps other processes out of a run directory for as long as this one lives.

    The system gives the lock back when the process ends, however it ends.

    Args:
        directory: Path of the directory.

    Returns:
        What must be kept for as long as the lock shall hold.

    Raises:
        RunError: Another process has the directory.
        OSError: The directory cannot be written.
    """
    file = open(directory / ".lock", "w")  # noqa: SIM115 - held, not read
    if fcntl is None:
        return file
    try:
        # Of the process, not of the file: the same process may open its run again.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise RunError(
            f"workdir {directory} is in use by another process; wait for its end, or "
            "pass another --workdir."
        ) from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return file
