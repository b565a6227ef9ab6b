"""Arrays and batches as the tensors that `fit` makes of them."""

from typing import Any

import keras
from keras.src.trainers.data_adapters import array_slicing, data_adapter_utils
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter


def arrays_to_tensors(x: Any, y=None, sample_weight=None, class_weight=None) -> tuple:
    """Returns (x, y, sample_weight) as the tensors that `fit(x, y, ...)` trains on.

    Floating-point arrays become `keras.config.floatx()`, and class weights become
    sample weights. Inputs that differ in length, which `fit` takes in datasets only,
    are accepted with targets of any length.

    Args:
        x: Array, data frame, tensor or SciPy sparse matrix, or a nested structure of
            them.
        y: Targets in the same form, or None.
        sample_weight: Weights of the samples, or None.
        class_weight: Dict from class to weight, or None.

    Raises:
        ValueError: Keras does not accept the arrays together.
    """
    lengths = {
        tuple(getattr(leaf, "shape", [-1]))[:1] for leaf in keras.tree.flatten(x)
    }
    if len(lengths) > 1 or () in lengths:
        batch = (x, y, sample_weight)
        return batch_to_tensors(batch, class_weight, as_arrays=True)
    adapter = ArrayDataAdapter(x, y, sample_weight, class_weight=class_weight)
    return batch_to_tensors(adapter._inputs, as_arrays=True)


def batch_to_tensors(batch: Any, class_weight=None, as_arrays: bool = False) -> tuple:
    """Returns (x, y, sample_weight) as the tensors of a batch of `fit(dataset)`.

    Args:
        batch: x, (x,), (x, y) or (x, y, sample_weight).
        class_weight: Dict from class to weight, or None.
        as_arrays: Whether to convert floating-point arrays to `keras.config.floatx()`,
            as `fit` does with arrays but not with batches of datasets.

    Raises:
        ValueError: The batch has another form, or Keras does not accept its parts.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    if class_weight is not None:
        weighted = ArrayDataAdapter(y, y, sample_weight, class_weight=class_weight)
        *_, sample_weight = weighted._inputs
    convert = _of_arrays if as_arrays else _of_datasets
    return keras.tree.map_structure(
        lambda leaf: (
            None if leaf is None else keras.ops.convert_to_tensor(convert(leaf))
        ),
        (x, y, sample_weight),
    )


def _of_arrays(array):
    """Converts like Keras' adapter of arrays, which slices all of them."""
    sliceable = array_slicing.convert_to_sliceable(array)
    if not array.shape:
        return sliceable.array
    whole = sliceable[slice(0, array.shape[0])]
    backend = keras.backend.backend()
    if backend == "jax":
        return sliceable.convert_to_jax_compatible(whole)
    if backend == "torch":
        return sliceable.convert_to_torch_compatible(whole)
    whole = sliceable.convert_to_tf_dataset_compatible(whole)
    return getattr(whole, "sparse", whole)


def _of_datasets(element):
    """Converts like Keras' adapters of generators and datasets."""
    if keras.backend.backend() == "jax":
        return next(data_adapter_utils.get_jax_iterator([element]))
    if keras.backend.backend() == "tensorflow":
        if data_adapter_utils.is_scipy_sparse(element):
            return data_adapter_utils.scipy_sparse_to_tf_sparse(element)
        if data_adapter_utils.is_jax_sparse(element):
            return data_adapter_utils.jax_sparse_to_tf_sparse(element)
    return element
