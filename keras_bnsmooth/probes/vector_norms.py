"""l2 norms and inner products over all weights together."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


def accumulation_dtype(variables: Iterable) -> str:
    """Returns float64 if any of the variables is float64, else float32."""
    return "float64" if any(v.dtype == "float64" for v in variables) else "float32"


def inner_products(a: Sequence, b: Sequence, dtype: str) -> Any:
    """Returns <a_j, b_j> for the tensors of two lists, as one tensor [J].

    Each product is summed in `dtype`; `total` sums over the tensors.
    """
    return ops.stack(
        [
            ops.sum(ops.multiply(ops.cast(u, dtype), ops.cast(v, dtype)))
            for u, v in zip(a, b, strict=True)
        ]
    )


def squared_norms(tensors: Iterable, dtype: str) -> Any:
    """Returns ||a_j||^2 of each tensor a_j, as one tensor [J]."""
    return ops.stack([ops.sum(ops.square(ops.cast(a, dtype))) for a in tensors])


def differences(a: Sequence, b: Sequence) -> Iterator:
    """Yields a_j - b_j for the tensors of two lists, holding one at a time."""
    return (u - v for u, v in zip(a, b, strict=True))


def total(terms: Any) -> np.ndarray:
    """Returns the float64 sum of such terms over the last axis."""
    return keras.ops.convert_to_numpy(terms).astype(np.float64).sum(axis=-1)
