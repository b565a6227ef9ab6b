"""Arrays in .npz files, read in one place."""

import os
import zipfile
import zlib

import numpy as np

from apps import memory
from apps.errors import UserError

# What NumPy and zipfile raise for damaged files; NotImplementedError for a changed
# compression, AttributeError and TypeError for files of other formats.
_DAMAGED = (
    *(OSError, ValueError, TypeError, AttributeError, EOFError, KeyError),
    *(NotImplementedError, RuntimeError, MemoryError, SyntaxError, OverflowError),
    *(zipfile.BadZipFile, zlib.error),
)


def read_arrays(path, remedy):
    """Returns the arrays of an .npz file, a dict from name to array.

    Args:
        path: The file.
        remedy: What to do if it cannot be read.

    Raises:
        UserError: The file is missing, damaged, or holds other things than arrays.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as members:
            size = sum(member.file_size for member in members.infolist())
        memory.check(size, f"reading {os.fspath(path)}", remedy)
        with np.load(path) as file:
            return {name: file[name] for name in sorted(file.files)}
    except UserError:
        raise
    except _DAMAGED as error:
        raise UserError(
            f"{path} cannot be read as an .npz file of plain arrays "
            f"({type(error).__name__}: {error}); {remedy}."
        ) from error
