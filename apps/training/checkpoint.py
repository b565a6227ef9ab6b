"""Checkpoints: all that training changes, in one file.

A `.keras` file would not do: Keras leaves the states of seed generators out of it,
so that dropout and noise would start over after each stop. On torch a `Dropout` layer
without a seed draws from a generator of PyTorch's own, which is not saved: give it one.
"""

import zipfile

import keras
import numpy as np

from keras_bnsmooth import keras_model
from keras_bnsmooth.records.json_lines import atomic_write


def save(model, path):
    """Writes weights, moving statistics, seeds and optimizer state to `path`.

    Raises:
        OSError: The file cannot be written. An earlier one is left as it was.
    """
    arrays = {
        f"{number:04d} {variable.path}": keras.ops.convert_to_numpy(variable)
        for number, variable in enumerate(_variables(model))
    }
    with atomic_write(path) as partial, open(partial, "wb") as file:
        np.savez(file, **arrays)


def restore(model, path):
    """Sets `model`, built and compiled as the saved one was, to what `path` holds.

    Raises:
        ValueError: The file is damaged, or of another model.
    """
    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    try:
        with np.load(path) as file:
            arrays = [file[name] for name in sorted(file.files)]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__}).") from error
    if [array.shape for array in arrays] != [tuple(v.shape) for v in variables]:
        raise ValueError(f"{path} holds the weights of another model.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _variables(model):
    metrics = {id(variable) for variable in model.metrics_variables}
    model_variables = [v for v in model.variables if id(v) not in metrics]
    return model_variables + model.optimizer.variables


class Checkpoint(keras.callbacks.Callback):
    """Saves the training state at the end of every epoch whose last step is due.

    Args:
        path: Where the file goes.
        every: Steps between checkpoints, a multiple of the steps of an epoch.
    """

    def __init__(self, path, every):
        super().__init__()
        self._path = path
        self._every = every

    def on_epoch_end(self, epoch, logs=None):
        """Saves the training state where a checkpoint is due."""
        if keras_model.step(self.model) % self._every == 0:
            save(self.model, self._path)
