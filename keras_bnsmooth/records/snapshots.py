"""Weights at single steps of training, one NumPy file per step.

A file holds all weights in one row, so that a reader can go through the same part of
every snapshot without loading the rest.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from keras_bnsmooth.records.json_lines import atomic_write


def describe(variables: Sequence) -> list[str]:
    """Returns layer, name and shape of each variable, such as "dense/kernel (4, 3)".

    Without the models around the layer, which change when a model is saved and loaded.
    """
    return [f"{'/'.join(v.path.split('/')[-2:])} {tuple(v.shape)}" for v in variables]


def write(folder: Path, step: int, arrays: Sequence[np.ndarray]) -> None:
    """Writes the weights at a step in single precision or better, whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    flat = [np.ravel(array) for array in arrays]
    with atomic_write(_path(folder, step)) as partial:
        np.save(partial, np.concatenate(flat, dtype=np.result_type("f4", *arrays)))


def keep(folder: Path, steps: Collection[int]) -> None:
    """Deletes snapshots of other steps, and what a killed process left of one."""
    kept = {_path(folder, step) for step in steps}
    for path in {*folder.glob("*weights-*.npy")} - kept:
        path.unlink()


def read(folder: Path, step: int, part: slice = slice(None)) -> np.ndarray:
    """Returns a part of the weights at a step, by default all.

    Raises:
        ValueError: The file is missing or damaged.
    """
    path = _path(folder, step)
    try:
        return np.array(np.load(path, mmap_mode="r")[part])
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); put it back, or remove its line from "
            f"{folder.name}.jsonl."
        ) from error


def _path(folder, step):
    return folder / f"weights-{step:09d}.npy"
