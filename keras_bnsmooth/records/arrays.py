"""Arrays that a record refers to, in an `.npz` file next to it."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_bnsmooth.records.json_lines import atomic_write


def write_arrays(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Writes arrays to a file and replaces what it held.

    Args:
        path: The file, `*.npz`; its directory is created if missing.
        arrays: Arrays of NumPy's own dtypes.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        np.savez(partial, *arrays)


def read_arrays(path: Path, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Returns the arrays that `write_arrays` wrote.

    Args:
        path: The file.
        shapes: The shapes that they must have.

    Raises:
        ValueError: The file is damaged, or its arrays have other shapes.
    """
    try:
        with np.load(path) as file:
            arrays = [file[name] for name in file.files]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged; delete it. ({error})") from error
    found = [array.shape for array in arrays]
    if found != list(shapes):
        raise ValueError(
            f"{path} holds arrays of the shapes {found} instead of {list(shapes)}, as "
            "of another model; delete it."
        )
    return arrays
