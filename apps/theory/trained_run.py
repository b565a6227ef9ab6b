"""A finished training run: its model and the first batch that it was trained on."""

from pathlib import Path

import keras

import keras_bnsmooth.models  # noqa: F401 - registers the classes of saved models
from apps import data
from apps.errors import UserError
from apps.training.contents import all_flags, check_flags, read_config

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
    made_with = all_flags(read_config(run / "config.json"))
    needed = _VGG_FLAGS if "dataset" in made_with else _DLN_FLAGS
    check_flags(run / "config.json", made_with, needed)
    return made_with, _load_model(run / "model.keras"), first_batch(made_with)


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


def _load_model(path):
    try:
        return keras.models.load_model(path)
    except Exception as error:
        # Keras lets through whatever its readers of zip, JSON and HDF5 raise, and says
        # "File not found" of a file that is no zip.
        raise UserError(
            f"{path} is damaged, so that Keras cannot read the model in it "
            f"({type(error).__name__}); train the run again."
        ) from error
