"""A finished training run: its model and the first batch that it was trained on."""

import json
from pathlib import Path

import keras

import keras_bnsmooth.models  # noqa: F401 - registers the classes of saved models
from apps import data
from apps.errors import UserError
from apps.training.run_directory import all_flags

# Flags that decide the batches of the VGG and of the deep linear network.
_VGG_FLAGS = ("dataset", "data_dir", "batch_size", "seed", "augment")
_DLN_FLAGS = ("samples", "dim", "seed", "dtype")


def load_run(run):
    """Loads what a run of `train_vgg` or `train_dln` left behind.

    Args:
        run: The run directory.

    Returns:
        Dict of flags, `keras.Model`, and inputs and targets as of `first_batch`.

    Raises:
        UserError: The directory is not that of a finished run.
    """
    run = Path(run)
    for name in ("config.json", "model.keras"):
        if not (run / name).is_file():
            raise UserError(
                f"--model={run} is no finished run: it has no {name}. Pass the "
                "--workdir of train_vgg or train_dln."
            )
    made_with = _read_flags(run / "config.json")
    return (
        made_with,
        keras.models.load_model(run / "model.keras"),
        first_batch(made_with),
    )


def first_batch(made_with):
    """Returns inputs and targets of a run's first step, exactly as training saw them.

    Args:
        made_with: Dict of the run's flags.
    """
    if "dataset" not in made_with:
        return data.linear_teacher(*(made_with[name] for name in _DLN_FLAGS))
    source, folder, size, seed, augment = (made_with[name] for name in _VGG_FLAGS)
    images = data.load(source, folder)
    moments = images.channel_moments()
    batches = data.Batches(
        images.x_train, images.y_train, size, seed, *moments, augment=augment
    )
    return batches(step=0)


def _read_flags(path):
    try:
        made_with = all_flags(json.loads(path.read_text()))
        needed = _VGG_FLAGS if "dataset" in made_with else _DLN_FLAGS
        missing = [name for name in needed if name not in made_with]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} holds no flags of a run ({type(error).__name__}: {error}). Pass "
            "the --workdir of train_vgg or train_dln."
        ) from error
    if missing:
        raise UserError(
            f"{path} lacks the flags {', '.join(missing)}. Pass the --workdir of "
            "train_vgg or train_dln."
        )
    return made_with
