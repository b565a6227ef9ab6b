"""l2 norms and inner products over all weights together.

Squares of float32 numbers underflow below 1e-19, and overflow above 1e19. So every
tensor is divided by its largest absolute value before it is squared, and what is
computed on the device are such sums with their divisors. They are put together on the
host, in float64.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops


def accumulation_dtype(variables: Iterable) -> Literal["float32", "float64"]:
    """Returns float64 if any of the variables is float64, else float32."""
    return "float64" if any(v.dtype == "float64" for v in variables) else "float32"


def scaled_squares(tensors: Iterable, dtype: str) -> Any:
    """Returns c_j and ||a_j / c_j||^2 of each tensor a_j, as one tensor [J, 2].

    c_j is its largest absolute value, or 1 if that is zero or not finite. Sums are
    accumulated in `dtype`.
    """
    scaled = (_scaled(a, dtype) for a in tensors)
    return ops.stack([ops.stack([c, ops.sum(ops.square(a))]) for c, a in scaled])


def scaled_products(a: Sequence, b: Sequence, dtype: str) -> Any:
    """Returns what `cosine_and_distance` needs of tensors a_j and b_j, [J, 7].

    That is c, d, e, ||a / c||^2, ||b / d||^2, ||(a - b) / e||^2 and <a / c, b / d>,
    where c, d and e are as in `scaled_squares`.
    """
    rows = []
    for u, v, difference in zip(a, b, differences(a, b), strict=True):
        (c, u), (d, v), (e, difference) = (
            _scaled(tensor, dtype) for tensor in (u, v, difference)
        )
        pairs = ((u, u), (v, v), (difference, difference), (u, v))
        rows.append(ops.stack([c, d, e, *(ops.sum(x * y) for x, y in pairs)]))
    return ops.stack(rows)


def differences(a: Sequence, b: Sequence) -> Iterator:
    """Yields a_j - b_j for the tensors of two lists, holding one at a time."""
    return (u - v for u, v in zip(a, b, strict=True))


def norm_on_device(squares: Any) -> Any:
    """Returns the norm of all tensors together from `scaled_squares`, a scalar."""
    scale, squares = _scaled(squares[:, 0] * ops.sqrt(squares[:, 1]), squares.dtype)
    return scale * ops.sqrt(ops.sum(ops.square(squares)))


def norm(squares: Any) -> np.ndarray:
    """Returns the norm of all tensors together, float64.

    Args:
        squares: [..., J, 2], as from `scaled_squares`.
    """
    scales, squares = np.moveaxis(_to_float64(squares), -1, 0)
    largest, scales = _relative(scales, squares)
    return largest * np.sqrt(np.sum(np.square(scales) * squares, axis=-1))


def cosine_and_distance(products: Any) -> tuple[float, float]:
    """Returns cos(a, b) and ||a - b|| over all tensors of two lists together.

    Args:
        products: [J, 7], as from `scaled_products`.

    Returns:
        The cosine, NaN if one of the two is zero, and the distance.
    """
    c, d, e, aa, bb, difference, ab = _to_float64(products).T
    (_, c), (_, d) = _relative(c, aa), _relative(d, bb)
    lengths = np.sqrt(np.sum(c * c * aa)) * np.sqrt(np.sum(d * d * bb))
    with np.errstate(divide="ignore", invalid="ignore"):
        # Rounding can push a cosine beyond 1.
        cosine = np.clip(np.sum(c * d * ab) / lengths, -1.0, 1.0)
    return float(cosine), float(norm(np.stack([e, difference], axis=-1)))


def _scaled(tensor, dtype):
    """Returns c and tensor / c, where c is its largest absolute value or else 1."""
    tensor = ops.cast(tensor, dtype)
    largest = ops.max(ops.abs(tensor), initial=0)
    usable = ops.logical_and(largest > 0, ops.isfinite(largest))
    largest = ops.where(usable, largest, ops.ones_like(largest))
    return largest, tensor / largest


def _relative(scales, squares):
    """Returns the largest scale of nonzero tensors, and all relative to it."""
    scales = np.where(squares == 0, 0.0, scales)
    largest = scales.max(axis=-1)
    largest = np.where(largest > 0, largest, 1.0)
    return largest, scales / largest[..., np.newaxis]


def _to_float64(tensor):
    return keras.ops.convert_to_numpy(tensor).astype(np.float64)
