"""Checkpoints: everything that training changes, in one file.

A `.keras` file would not do, since Keras leaves the states of seed generators out of
it, and dropout and noise would repeat after each restart. On torch, a `Dropout` layer
without a seed draws from PyTorch's global generator, which is not saved: pass a seed.
"""

import zipfile

import keras
import numpy as np

from apps.errors import UserError
from keras_bnsmooth import keras_model
from keras_bnsmooth.records.json_lines import atomic_write

_REMEDY = "delete it to start the run again, or pass another --workdir."


def save(model, path):
    """Writes weights, moving statistics, seeds and optimizer state to `path`.

    Raises:
        OSError: The file cannot be written. An existing one is left intact.
    """
    arrays = {
        f"{number:04d} {variable.path}": keras.ops.convert_to_numpy(variable)
        for number, variable in enumerate(_variables(model))
    }
    with atomic_write(path) as partial, open(partial, "wb") as file:
        np.savez(file, **arrays)


def restore(model, path):
    """Restores `model`, built and compiled like the saved one, from `path`.

    Raises:
        UserError: The file is damaged or belongs to another model.
    """
    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    try:
        with np.load(path) as file:
            arrays = [file[name] for name in sorted(file.files)]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}); {_REMEDY}"
        ) from error
    if [array.shape for array in arrays] != [tuple(v.shape) for v in variables]:
        raise UserError(f"{path} holds the weights of another model; {_REMEDY}")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _variables(model):
    metrics = {id(variable) for variable in model.metrics_variables}
    model_variables = [v for v in model.variables if id(v) not in metrics]
    return model_variables + model.optimizer.variables


class Checkpoint(keras.callbacks.Callback):
    """Callback that saves the training state at the end of an epoch.

    Args:
        path: Path of the checkpoint.
        every: Steps between checkpoints, a multiple of the steps per epoch.
    """

    def __init__(self, path, every):
        super().__init__()
        self._path = path
        self._every = every

    def on_epoch_end(self, epoch, logs=None):
        """Saves the training state if a checkpoint is due."""
        if keras_model.step(self.model) % self._every == 0:
            save(self.model, self._path)
