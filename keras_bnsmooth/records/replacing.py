"""Files that are there whole or not at all."""

import contextlib
import os
from pathlib import Path


@contextlib.contextmanager
def replacing(path):
    """Yields a path to write to, which replaces `path` once the block is done.

    A reader sees the old file or the new one, also after a crash. Where the block
    fails, the old one stays. The yielded path has the ending of `path`.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(path)
    partial = path.with_name("partial-" + path.name)
    try:
        yield partial
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
