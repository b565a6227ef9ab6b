"""Checkpoints: everything that training changes, in one file.

A `.keras` file would not do, since Keras leaves the states of seed generators out of
it, and dropout and noise would repeat after each restart. On torch, a `Dropout` layer
without a seed draws from PyTorch's global generator, which is not saved: pass a seed.
"""

import json

import keras
import numpy as np

from apps.data.array_files import read_arrays
from apps.errors import UserError
from apps.training.contents import are_checksums
from keras_bnsmooth import keras_model
from keras_bnsmooth.records.json_lines import atomic_write

_REMEDY = "delete it to start the run again, or pass another --workdir"
_RECORDS = "records"


def save(model, path, records=None):
    """Writes weights, moving statistics, seeds and optimizer state to `path`.

    Args:
        model: The model.
        path: Path of the checkpoint.
        records: What `RunDirectory.checksums` says of the records at this moment.

    Raises:
        OSError: The file cannot be written. An existing one is left intact.
    """
    arrays = {
        f"{number:04d} {variable.path}": keras.ops.convert_to_numpy(variable)
        for number, variable in enumerate(_variables(model))
    }
    arrays[_RECORDS] = np.array(json.dumps(records))
    with atomic_write(path) as partial, open(partial, "wb") as file:
        np.savez(file, **arrays)


def restore(model, path):
    """Restores `model`, built and compiled like the saved one, from `path`.

    Returns:
        What was saved as `records`.

    Raises:
        UserError: The file is damaged or belongs to another model.
    """
    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    arrays = read_arrays(path, _REMEDY)
    try:
        records = json.loads(str(arrays.pop(_RECORDS, "null")))
    except ValueError:
        records = "damaged"
    if records is not None and not are_checksums(records):
        raise UserError(f"{path} is damaged; {_REMEDY}.")
    there = [(array.shape, str(array.dtype)) for array in arrays.values()]
    here = [
        (tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for v in variables
    ]
    if there != here:
        raise UserError(f"{path} holds the weights of another model; {_REMEDY}.")
    for variable, array in zip(variables, arrays.values(), strict=True):
        variable.assign(array)
    return records


def _variables(model):
    metrics = {id(variable) for variable in model.metrics_variables}
    model_variables = [v for v in model.variables if id(v) not in metrics]
    return model_variables + model.optimizer.variables


class Checkpoint(keras.callbacks.Callback):
    """Callback that saves the training state at the end of an epoch.

    Also checks at each end that nothing is new in the records but further rows.

    Args:
        run: The `RunDirectory`.
        every: Steps between checkpoints, a multiple of the steps per epoch.

    Raises:
        UserError: Records were changed.
    """

    def __init__(self, run, every):
        super().__init__()
        self._run = run
        self._every = every
        self._known = run.checksums()

    def on_epoch_end(self, epoch, logs=None):
        """Saves the training state if a checkpoint is due."""
        self._known = self._run.checksums(self._known)
        if keras_model.step(self.model) % self._every == 0:
            save(self.model, self._run.checkpoint, self._known)
