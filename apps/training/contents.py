"""What `config.json` and `result.json` of a run hold, read and checked in one place."""

import json
import math
from pathlib import Path

from apps.errors import UserError
from keras_bnsmooth.models.norms import NORMS


def _is_number(value):
    return type(value) in (int, float) and math.isfinite(value)


def _is_count(value):
    return type(value) is int and value >= 0


def _is_text(value):
    return isinstance(value, str)


def _is_dict(value):
    return isinstance(value, dict)


def _is_flag(value):
    # As JSON, a float flag may also be "NaN" or "Infinity", which is text.
    return value is None or isinstance(value, (bool, str, list)) or _is_number(value)


# The flags of every run; the others are whatever a flag can be.
_FLAGS = {
    "norm": lambda value: value in NORMS,
    "seed": lambda value: type(value) is int,
    "steps": lambda value: _is_count(value) and value > 0,
    "learning_rate": _is_number,
}
_CONFIG = {
    "flags": _is_dict,
    "command": _is_text,
    "provenance": _is_text,
    "data_checksum": _is_text,
    "backend": _is_text,
    "device": _is_text,
    "revision": lambda value: value is None or _is_text(value),
    "versions": _is_dict,
    "distribution": _is_dict,
}
_RESULT = {
    "status": lambda value: value in ("finished", "diverged"),
    "message": _is_text,
    "records": lambda value: _is_dict(value) and all(map(_is_checksum, value.values())),
}


def _is_checksum(value):
    return isinstance(value, list) and [type(part) for part in value] == [int, str]


def read_config(path):
    """Returns the configuration of a run from its `config.json`.

    Raises:
        UserError: The file is missing, damaged, or not that of a run.
    """
    config = _read_object(path, _CONFIG, required="flags")
    for name, value in config["flags"].items():
        if name.endswith("_every"):
            fits = value is None or _is_count(value)
        else:
            fits = _FLAGS.get(name, _is_flag)(value)
        if not fits:
            _refuse(path, f"--{name}", value)
    return config


def check_flags(path, flags, names=tuple(_FLAGS)):
    """Raises a UserError unless a run has the flags of the given names."""
    missing = [name for name in names if name not in flags]
    if missing:
        raise UserError(
            f"{path} does not hold the flags of a run (no --{missing[0]}); pass the "
            "--workdir of train_vgg or train_dln."
        )


def read_result(path):
    """Returns how a run ended from its `result.json`.

    Raises:
        UserError: The file is missing, damaged, or not that of a run.
    """
    result = _read_object(path, _RESULT, required="status")
    for name, value in result.items():
        # Losses may be "NaN" or "Infinity".
        if name not in _RESULT and not (_is_number(value) or _is_text(value)):
            _refuse(path, name, value)
    return result


def _read_object(path, kinds, required):
    path = Path(path)
    try:
        value = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise UserError(
            f"{path.parent}: there is no {path.name} that can be read "
            f"({error.strerror}); this is not a run directory."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is truncated or damaged ({type(error).__name__})."
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds {value!r:.40} instead of a JSON object.")
    if required not in value:
        raise UserError(
            f"{path} has no entry {required!r}, so it is not that of a run; pass the "
            "--workdir of train_vgg or train_dln."
        )
    for name, fits in kinds.items():
        if name in value and not fits(value[name]):
            _refuse(path, name, value[name])
    return value


def _refuse(path, name, value):
    raise UserError(
        f"{path} has {value!r:.40} as {name}; the file was changed by hand or damaged."
    )
