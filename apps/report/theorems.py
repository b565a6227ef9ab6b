"""The table of theorems for the report, from what `check_theorems` left."""

import json
from pathlib import Path


def read_theorems(folder):
    """Returns what `check_theorems` found, or None where it left nothing.

    Args:
        folder: The folder with `theorems.json`.

    Raises:
        ValueError: The file is damaged.
    """
    path = Path(folder) / "theorems.json"
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is cut off or damaged ({error.msg}).") from error
