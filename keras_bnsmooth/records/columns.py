"""Rows of a record as columns, even if the rows differ in what they hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def to_columns(rows: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Returns a dict from the name of each quantity to its values over rows.

    Rows differ if a quantity is measured at some steps only, or if a run resumes with
    other step sizes or with a newer version that records more.

    Args:
        rows: Dicts of numbers, strings, and arrays or nested lists of them.

    Returns:
        Dict of arrays [rows, ...]. Rows that lack a quantity hold NaN; arrays shorter
        than those of other rows are padded with NaN, or with False if all are boolean.
        Strings of different shapes, and arrays of different dimensions, become an
        object array [rows].
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _stack([row.get(name) for row in rows]) for name in names}


def _stack(values):
    arrays = [np.asarray(np.nan if value is None else value) for value in values]
    shapes = {array.shape for array in arrays}
    if len(shapes) == 1:
        return np.stack(arrays)
    shapes = {a.shape for a, v in zip(arrays, values, strict=True) if v is not None}
    numbers = all(array.dtype.kind in "biuf" for array in arrays)
    if not numbers or len(set(map(len, shapes))) > 1:
        ragged = np.empty(len(arrays), object)
        ragged[:] = arrays
        return ragged
    longest = map(max, zip(*shapes, strict=True))
    booleans = all(array.dtype == bool for array in arrays)
    stacked = np.full((len(arrays), *longest), False if booleans else np.nan)
    for row, array in zip(stacked, arrays, strict=True):
        # A missing value is a scalar, which fills the row.
        row[tuple(map(slice, array.shape))] = array
    return stacked
