"""JSON objects in files, checked against a description of what they hold."""

import json
from pathlib import Path

from apps.errors import UserError


def is_number(value):
    """Whether a value is a number, which may be NaN or infinite."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def is_finite(value):
    """Whether a value is a finite number."""
    return is_number(value) and abs(value) < float("inf")


def is_count(value):
    """Whether a value is an integer from 0."""
    return type(value) is int and 0 <= value < 2**63


def is_positive(value):
    """Whether a value is an integer from 1."""
    return is_count(value) and value > 0


def is_text(value):
    """Whether a value is a string."""
    return isinstance(value, str)


def is_bool(value):
    """Whether a value is true or false."""
    return isinstance(value, bool)


def is_dict(value):
    """Whether a value is an object."""
    return isinstance(value, dict)


def rows_of(kinds):
    """Returns a function that tells lists of one or more objects with such entries.

    Args:
        kinds: Dict from the name of each entry to a function that tells whether a value
            fits.
    """

    def fits(value):
        return (
            isinstance(value, list)
            and bool(value)
            and all(
                is_dict(row)
                and all(name in row and kind(row[name]) for name, kind in kinds.items())
                for row in value
            )
        )

    return fits


def read_object(path, kinds, required=()):
    """Returns the JSON object in a file.

    Args:
        path: The file.
        kinds: Dict from the name of an entry to a function that tells whether a value
            fits. Other entries are not checked.
        required: Names of entries that must be there.

    Raises:
        UserError: The file is missing, damaged, or holds something else.
    """
    path = Path(path)
    try:
        value = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise UserError(
            f"{path.parent}: there is no {path.name} that can be read "
            f"({error.strerror})."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is truncated or damaged ({type(error).__name__})."
        ) from error
    if not is_dict(value):
        raise UserError(f"{path} holds {value!r:.40} instead of a JSON object.")
    for name in required:
        if name not in value:
            raise UserError(
                f"{path} has no entry {name!r}; it is another file than expected, or "
                "damaged."
            )
    for name, fits in kinds.items():
        if name in value and not fits(value[name]):
            refuse(path, name, value[name])
    return value


def refuse(path, name, value):
    """Raises the UserError for an entry that does not fit."""
    raise UserError(
        f"{path} has {value!r:.40} as {name}; the file was changed by hand or damaged."
    )
