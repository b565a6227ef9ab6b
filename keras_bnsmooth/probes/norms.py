"""l2 norms over all weights together, accurate to float64 where it costs nothing."""

import keras
import numpy as np
from keras import ops


def accumulation_dtype(variables):
    """float64 if any of the variables is, else float32, whatever else they are."""
    return "float64" if any(v.dtype == "float64" for v in variables) else "float32"


def inner_products(a, b, dtype):
    """Returns <a_j, b_j> for the tensors a_j, b_j of two lists, as one tensor [J].

    Summed over each tensor in `dtype`; the sum over tensors is left to `total`.
    """
    return ops.stack(
        [
            ops.sum(ops.multiply(ops.cast(u, dtype), ops.cast(v, dtype)))
            for u, v in zip(a, b, strict=True)
        ]
    )


def squared_norms(tensors, dtype):
    """Returns ||a_j||^2 for each tensor a_j, as one tensor [J]."""
    return ops.stack([ops.sum(ops.square(ops.cast(a, dtype))) for a in tensors])


def differences(a, b):
    """Yields a_j - b_j for the tensors of two lists, with memory for one at a time."""
    return (u - v for u, v in zip(a, b, strict=True))


def total(terms):
    """Returns the float64 sum over the last axis of what the functions above give."""
    return keras.ops.convert_to_numpy(terms).astype(np.float64).sum(axis=-1)
