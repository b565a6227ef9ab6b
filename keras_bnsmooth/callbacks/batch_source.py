"""The batch to probe at a step, from any form in which data come."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


def batch_source(
    data: Any, class_weight: Mapping[int, float] | None = None, optional: bool = False
):
    """Returns an object whose `take(step)` is the batch (x, y, sample_weight).

    Args:
        data: One batch (x, y) or (x, y, sample_weight), used at every step; a
            function from the step to a batch; a `keras.utils.PyDataset`, of which step
            t takes batch t modulo its length; or a restartable iterable such as a
            `tf.data.Dataset`, which supplies one batch per probe and restarts when
            exhausted. Iterating a shuffled `tf.data.Dataset` changes the order of its
            next iteration, so do not share one with training.
        class_weight: Dict from class to weight, as in `model.fit`, or None.
        optional: Whether `data` may be None; every batch is None then.

    Raises:
        ValueError: `data` is none of these.
    """
    source: Any
    if data is None and optional:
        if class_weight is not None:
            raise ValueError("class_weight weights the probe's data; pass data too.")
        return _NoData()
    if isinstance(data, (tuple, list)):
        source = _Function(lambda step: data)
    elif isinstance(data, keras.utils.PyDataset):
        source = _Function(lambda step: _of_py_dataset(data, step))
    elif hasattr(data, "__next__"):
        raise ValueError(
            "data must be restartable, so iterators and generators are not accepted. "
            "Pass a tf.data.Dataset or a function that maps a step to a batch."
        )
    elif hasattr(data, "__iter__") and not hasattr(data, "shape"):
        source = _Cycle(data)
    elif callable(data) and not inspect.isclass(data):
        source = _Function(data)
    else:
        raise ValueError(
            "data must be a batch (x, y[, sample_weight]), a function from the step "
            "to a batch, a keras.utils.PyDataset or a tf.data.Dataset; received "
            f"{type(data).__name__}."
        )
    if class_weight is not None:
        source = _ClassWeighted(source, dict(class_weight))
    return source


class _NoData:
    def peek(self, step):
        return None

    def take(self, step):
        return None


class _Function:
    # Whether `take` returns the batch of a step again after a restart.
    repeatable = True

    def __init__(self, function):
        self._function = function

    def peek(self, step):
        """Returns the batch that `take(step)` will return."""
        return self.take(step)

    def take(self, step):
        """Returns the batch to probe at `step`."""
        try:
            batch = self._function(step)
        except StopIteration as error:
            # `fit` would mistake it for the end of its own data.
            raise ValueError(f"The probe's data ended at step {step}.") from error
        return _unpack(batch, step)


class _Cycle:
    repeatable = False

    def __init__(self, iterable):
        self._iterable = iterable
        self._iterator = iter(())
        self._peeked = None

    def peek(self, step):
        if self._peeked is None:
            self._peeked = self.take(step)
        return self._peeked

    def take(self, step):
        if self._peeked is not None:
            batch, self._peeked = self._peeked, None
            return batch
        for _ in range(2):
            for batch in self._iterator:
                return _unpack(batch, step)
            self._iterator = iter(self._iterable)
        raise ValueError(f"The probe's data have no batch at step {step}.")


class _ClassWeighted:
    def __init__(self, source, class_weight):
        self._source = source
        self._class_weight = class_weight

    def peek(self, step):
        return self._weighted(self._source.peek(step))

    def take(self, step):
        return self._weighted(self._source.take(step))

    def _weighted(self, batch):
        x, y, sample_weight = batch
        if sample_weight is not None:
            raise ValueError(
                "Pass either class_weight or sample weights to the probe, not both."
            )
        return x, y, class_weights(y, self._class_weight)


def class_weights(y: Any, class_weight: Mapping[int, float]) -> np.ndarray:
    """Returns the weight of each sample's class, float [samples]; defaults to 1.

    Args:
        y: Class indices [samples] or [samples, 1], or one-hot [samples, classes].
        class_weight: Dict from class to weight.
    """
    y = keras.ops.convert_to_numpy(y)
    if y.ndim > 1:
        y = y.argmax(axis=-1) if y.shape[-1] > 1 else y[..., 0]
    weights = [class_weight.get(int(label), 1.0) for label in y.ravel()]
    return np.asarray(weights, keras.config.floatx()).reshape(y.shape)


def _of_py_dataset(data, step):
    count = data.num_batches
    if count == 0:
        raise ValueError("The probe's PyDataset has no batches.")
    return data[step if count is None else step % count]


def _unpack(batch, step):
    if not isinstance(batch, (tuple, list)) or not 1 <= len(batch) <= 3:
        raise ValueError(
            "The probe's data must yield (x, y) or (x, y, sample_weight); at step "
            f"{step} they yielded {type(batch).__name__}."
        )
    return (*batch, None, None)[:3]
