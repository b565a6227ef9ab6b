"""What `config.json` and `result.json` of a run hold, read and checked in one place."""

from apps.errors import UserError
from apps.json_objects import (
    is_bool,
    is_count,
    is_dict,
    is_finite,
    is_positive,
    is_text,
    read_object,
    refuse,
)
from keras_bnsmooth.models.norms import NORMS
from keras_bnsmooth.models.vgg_network import DEPTHS

# Flags that older runs lack, with the values that were in effect.
_LATER = {
    "strategy": "none",
    "logical_cpus": 1,
    "synchronized": False,
    "filters_probe_every": 0,
    "ics_joined_every": 0,
    "layer_scales_every": 0,
    "sharpness_every": 0,
    "norm_after_centering": False,
}


def _is_path(value):
    return value is None or (is_text(value) and "\0" not in value)


def _is_flag(value):
    # As JSON, a float flag may also be "NaN" or "Infinity", which is text.
    return value is None or is_bool(value) or is_text(value) or is_finite(value)


# The flags of every run, and those of which something is computed or read again; the
# others are whatever a flag can be.
_REQUIRED = {
    "norm": lambda value: value in NORMS,
    "seed": is_count,
    "steps": is_positive,
    "learning_rate": is_finite,
}
_FLAGS = _REQUIRED | {
    "dataset": lambda value: is_text(value) and _is_path(value),
    "data_dir": _is_path,
    "batch_size": is_positive,
    "width": is_positive,
    "augment": is_bool,
    "samples": is_positive,
    "dim": is_positive,
    "dtype": lambda value: value in ("float32", "float64"),
    "normalize_output": is_bool,
    "norm_after_centering": is_bool,
    "workdir": _is_path,
}
_CONFIG = {
    "flags": is_dict,
    "command": is_text,
    "provenance": is_text,
    "data_checksum": is_text,
    "backend": is_text,
    "device": is_text,
    "revision": lambda value: value is None or is_text(value),
    "versions": is_dict,
    "distribution": is_dict,
}


def are_checksums(value):
    """Whether a value is what `RunDirectory.checksums` returns."""
    return is_dict(value) and all(
        isinstance(checksum, list) and [type(part) for part in checksum] == [int, str]
        for checksum in value.values()
    )


_RESULT = {
    "status": lambda value: value in ("finished", "diverged"),
    "message": is_text,
    "step": is_count,
    "steps": is_count,
    "records": are_checksums,
}


def read_config(path):
    """Returns the configuration of a run from its `config.json`.

    Raises:
        UserError: The file is missing, damaged, or not that of a run.
    """
    config = read_object(path, _CONFIG, required=("flags",))
    flags = config["flags"]
    for name, value in flags.items():
        if name.endswith("_every"):
            fits = value is None or is_count(value)
        elif name == "depth":
            # A choice for the VGG, a number for the deep linear network.
            dln = "samples" in flags
            fits = is_positive(value) if dln else value in map(str, DEPTHS)
        else:
            fits = _FLAGS.get(name, _is_flag)(value)
        if not fits:
            refuse(path, f"--{name}", value)
    return config


def all_flags(config):
    """Returns a run's flags as a dict, with defaults for flags that the run predates.

    Args:
        config: Contents of the run's `config.json`.
    """
    return _LATER | config["flags"]


def check_flags(path, flags, names=tuple(_REQUIRED)):
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
    result = read_object(path, _RESULT, required=("status",))
    for name, value in result.items():
        # Losses may be "NaN" or "Infinity".
        if name not in _RESULT and not (
            is_finite(value) or value in ("NaN", "Infinity", "-Infinity")
        ):
            refuse(path, name, value)
    return result
