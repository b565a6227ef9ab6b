"""Records as JSON lines: one row per line, flushed as soon as it is appended.

A killed run keeps every line but perhaps its last, which `read` then ignores. JSON has
neither NaN nor infinity; they are written as the strings "NaN", "Infinity" and
"-Infinity", which `read` and `pandas.read_json(path, lines=True)` turn back into
floats.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_bnsmooth.records.columns import to_columns

PathLike = str | os.PathLike

_NON_FINITE = {
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}


def append(path: PathLike, row: dict[str, Any]) -> None:
    """Appends `row` to the file at `path`, which is created if missing.

    Args:
        path: File to append to.
        row: Dict of JSON types, NumPy scalars and NumPy arrays.

    Raises:
        OSError: The file cannot be written. Its previous content is unchanged.
    """
    line = (dumps(row) + "\n").encode()
    with open(path, "ab", buffering=0) as file:
        start = file.tell()
        try:
            written = file.write(line)
            if written != len(line):
                # A nearly full disk accepts a part; writing the rest raises.
                file.write(line[written:])
        except OSError as error:
            file.truncate(start)
            error.filename = error.filename or str(path)
            raise


def read(path: PathLike) -> list[dict[str, Any]]:
    """Returns the rows of the file at `path` as a list of dicts.

    Skips a last line that was cut off.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line other than the last one is not a JSON object with an integer
            `step`.
    """
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    # Whatever follows the last newline is empty or was cut off.
    complete = lines[:-1]
    rows = []
    for number, line in enumerate(complete, start=1):
        problem = "it is not an object with a step"
        try:
            row = _decode(json.loads(line.decode("utf-8")))
        except json.JSONDecodeError as error:
            problem, row = error.msg, None
        except (UnicodeDecodeError, RecursionError):
            problem, row = "it is not text", None
        if not isinstance(row, dict) or type(row.get("step")) is not int:
            raise ValueError(
                f"{path}, line {number}: not a JSON row ({problem}); "
                "the file was changed by hand or damaged."
            )
        rows.append(row)
    return rows


def read_columns(path: PathLike) -> dict[str, np.ndarray]:
    """Returns the rows of the file at `path` as columns.

    Returns:
        Dict from the name of each quantity to an array [rows, ...], see
        `columns.to_columns`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: As for `read`; or a quantity is a number in one row, and text or an
            array of other dimensions in another.
    """
    rows = read(path)
    kinds: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            kind = _kind(value)
            if kind is None or kinds.setdefault(name, kind) != kind:
                raise ValueError(
                    f"{path}: {name} at step {row['step']} is neither a number nor "
                    "text, or not what it is in other rows; the file was changed by "
                    "hand or damaged."
                )
    return to_columns(rows)


def _kind(value):
    """Returns whether a value is text, and the dimensions of a number; None if odd."""
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # a ragged list
        return None
    if array.dtype.kind in "biuf" or not array.size:
        return "number", array.ndim
    # Lists of layers differ in length, not in dimensions.
    return ("text", array.ndim) if array.dtype.kind == "U" else None


def truncate(path: PathLike, step: int) -> None:
    """Drops the rows beyond `step` in one atomic replacement.

    A run that resumes from its checkpoint at `step` writes them again. Does nothing if
    the file is missing.
    """
    if not os.path.exists(path):
        return
    kept = [row for row in read(path) if row["step"] <= step]
    with atomic_write(path) as partial:
        partial.write_text("".join(dumps(row) + "\n" for row in kept))


def dumps(value: Any, indent: int | None = None) -> str:
    """Returns `value` as valid JSON; NaN and infinities become strings."""
    return json.dumps(_encode(value), allow_nan=False, indent=indent)


def _encode(value):
    if isinstance(value, dict):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _encode(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return "NaN"
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _decode(value):
    if isinstance(value, dict):
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, str):
        return _NON_FINITE.get(value, value)
    return value


@contextlib.contextmanager
def atomic_write(path: PathLike) -> Iterator[Path]:
    """Yields a path to write to, which replaces `path` when the block exits.

    A reader sees either the old file or the new one, even after a crash. If the block
    fails, the old file stays. The yielded path has the same suffix as `path`.

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
    except OSError as error:
        # A full disk raises without a name.
        error.filename = error.filename or str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)
