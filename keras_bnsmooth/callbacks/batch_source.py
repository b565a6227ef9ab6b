"""The batch to probe at a step, from any form in which data come."""

import functools
import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_bnsmooth import keras_model
from keras_bnsmooth.autodiff import generators


def batch_source(
    data: Any,
    class_weight: Mapping[int, float] | None = None,
    optional: bool = False,
    parts: int = 1,
):
    """Returns an object whose `take(step)` is the batch (x, y, sample_weight).

    Batches are tensors, converted as `model.fit` does. Taking them leaves the global
    random generators as they were: whatever `data` draws from them continues a stream
    of its own.

    Args:
        data: One batch (x, y) or (x, y, sample_weight), or x alone as an array or a
            dict, used at every step; a function from the step to a batch; a
            `keras.utils.PyDataset`, of which step t takes batch t modulo its length; or
            a restartable iterable such as a `tf.data.Dataset` or a torch `DataLoader`,
            which supplies one batch per probe and restarts when exhausted. Iterating a
            shuffled `tf.data.Dataset` changes the order of its next iteration, so do
            not share one with training.
        class_weight: Dict from class to weight, as in `model.fit`, or None.
        optional: Whether `data` may be None; every batch is None then.
        parts: Splits `data`, if it is a single batch, into this many of one size; step
            t takes part t modulo their number.

    Raises:
        ValueError: `data` is none of these, or `class_weight` no such dict.
    """
    _check_class_weight(class_weight)
    kind: Callable[..., _Source]
    if data is None and optional:
        if class_weight is not None:
            raise ValueError("class_weight weights the probe's data; pass data too.")
        kind = _NoData
    elif isinstance(data, (tuple, list, Mapping)) or hasattr(data, "shape"):
        kind = functools.partial(_Batch, parts=parts)
    elif isinstance(data, keras.utils.PyDataset):
        kind = _PyDataset
    elif hasattr(data, "__next__"):
        raise ValueError(
            "data must be restartable, so iterators and generators are not accepted. "
            "Pass a tf.data.Dataset or a function that maps a step to a batch."
        )
    elif hasattr(data, "__iter__"):
        kind = _Cycle
    elif callable(data) and not inspect.isclass(data):
        kind = _Function
    else:
        raise ValueError(
            "data must be a batch (x, y[, sample_weight]), a function from the step "
            "to a batch, a keras.utils.PyDataset or a tf.data.Dataset; received "
            f"{type(data).__name__}."
        )
    return kind(data, None if class_weight is None else dict(class_weight))


def _check_class_weight(class_weight):
    if class_weight is None:
        return
    is_dict = isinstance(class_weight, Mapping)
    if not is_dict or not all(
        isinstance(key, numbers.Integral) and isinstance(weight, numbers.Real)
        for key, weight in class_weight.items()
    ):
        raise ValueError(
            "class_weight must be a dict from class, an integer, to weight, a number, "
            f"such as {{0: 0.5, 1: 2.0}}; received {class_weight!r:.80}."
        )


class _Source:
    # Whether `take` returns the batch of a step again after a restart.
    repeatable = True

    def __init__(self, data, class_weight):
        self._data = data
        self._class_weight = class_weight
        self._generators = []

    def __deepcopy__(self, memo):
        # Tuners copy callbacks. Datasets cannot be copied, and arrays need not be.
        return type(self)(self._data, self._class_weight)

    def peek(self, step):
        """Returns the batch that `take(step)` would return now."""
        with generators.preserve_global_generators():
            generators.restore(self._generators)
            return self._fetch(step)

    def take(self, step):
        """Returns the batch to probe at `step`."""
        with generators.preserve_global_generators():
            generators.restore(self._generators)
            batch = self._fetch(step)
            self._generators = generators.global_states()
        return batch

    def _fetch(self, step):
        raise NotImplementedError


class _NoData(_Source):
    def _fetch(self, step):
        return None


class _Batch(_Source):
    def __init__(self, data, class_weight, parts=1):
        super().__init__(data, class_weight)
        self._parts = parts

    def __deepcopy__(self, memo):
        return type(self)(self._data, self._class_weight, self._parts)

    def _fetch(self, step):
        batch = keras.utils.unpack_x_y_sample_weight(self._data)
        batch = keras_model.arrays_to_tensors(*batch, self._class_weight)
        if self._parts == 1:
            return batch
        return keras.tree.map_structure(lambda leaf: self._part(leaf, step), batch)

    def _part(self, leaf, step):
        if leaf is None:
            return None
        size, rest = divmod(leaf.shape[0], self._parts)
        if rest or not size:
            raise ValueError(
                f"The probe's batch of {leaf.shape[0]} samples cannot be split into "
                f"{self._parts} of one size; pass a multiple of {self._parts}."
            )
        start = step % self._parts * size
        return leaf[start : start + size]


class _Function(_Source):
    def _fetch(self, step):
        try:
            batch = self._data(step)
        except StopIteration as error:
            # `fit` would mistake it for the end of its own data.
            raise ValueError(f"The probe's data ended at step {step}.") from error
        return keras_model.batch_to_tensors(batch, self._class_weight, as_arrays=True)


class _PyDataset(_Source):
    def _fetch(self, step):
        count = self._data.num_batches
        if count == 0:
            raise ValueError("The probe's PyDataset has no batches.")
        batch = self._data[step if count is None else step % count]
        return keras_model.batch_to_tensors(batch, self._class_weight)


class _Cycle(_Source):
    repeatable = False

    def __init__(self, data, class_weight):
        super().__init__(data, class_weight)
        self._iterator = iter(())
        self._peeked = None

    def peek(self, step):
        if self._peeked is None:
            self._peeked = super().take(step)
        return self._peeked

    def take(self, step):
        batch, self._peeked = self.peek(step), None
        return batch

    def _fetch(self, step):
        for _ in range(2):
            for batch in self._iterator:
                return keras_model.batch_to_tensors(batch, self._class_weight)
            self._iterator = iter(self._data)
        raise ValueError(f"The probe's data have no batch at step {step}.")
