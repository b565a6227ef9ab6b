"""Lets file operations of a run fail, as full and broken disks do, and tries again."""

import errno
import os
import random
import resource

from tests.apps.faults import digits

_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EPERM),
    *(errno.EROFS, errno.EMFILE, errno.ESTALE, errno.ENAMETOOLONG),
)


def try_disk(seed, folder, reference):
    """Makes a run on a disk that fails, then lets it end on one that does not.

    Args:
        seed: Of the failure.
        folder: An empty folder.
        reference: A `digits.Reference`.

    Returns:
        What was done, and `"equal"` or what else happened.
    """
    rng = random.Random(f"disk {seed}")
    if rng.random() < 0.3:
        size = int(10 ** rng.uniform(0, 5.2))
        what = f"no file above {size} bytes"
        ended = digits.train(folder, before=lambda: _limit(size))
    else:
        number = rng.choice(_ERRORS)
        first = rng.randint(1, reference.operations)
        last = rng.choice((first, first + 1, 10**9))
        what = f"{errno.errorcode[number]} in operations {first} to {last}"
        ended = digits.train(folder, on_operation=_fail(number, first, last))
    if ended.finding() not in ("finished", "one line"):
        return what, ended.finding()
    ended = digits.train(folder)
    if ended.finding() != "finished":
        return what, f"afterwards {ended.finding()}: {ended.output[-300:]}"
    return what, digits.difference(folder / "run", reference.contents)


def _limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _fail(number, first, last):
    def fail(count, path):
        if first <= count <= last:
            raise OSError(number, os.strerror(number), path)

    return fail
