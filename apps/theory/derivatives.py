"""Derivatives of a function of arrays, for a batch of independent instances.

The paper's theory differentiates a loss with respect to the outputs of one unit.
``f`` maps an array ``[n, m]`` (n instances of m numbers) to ``[n]`` values, value i
depending on row i alone, or to one scalar. All derivatives are returned as float64
NumPy arrays.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

Function = Callable[[tf.Tensor], tf.Tensor]


def gradient(f: Function, y) -> np.ndarray:
    """Gradient of f at y, row by row: ``[n, m]`` for y ``[n, m]``."""
    return _slope(f, _tensor(y)).numpy()


def gradients(f: Callable, points: list) -> list[np.ndarray]:
    """Gradients of f(points) with respect to each of a list of arrays."""
    slopes = _slope(f, [_tensor(point) for point in points])
    return [slope.numpy() for slope in slopes]


def jacobian(f: Function, y) -> np.ndarray:
    """Jacobian of f, ``[n, m] -> [n, k]``, at y: ``[n, k, m]``."""
    y = _tensor(y)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        columns = tf.unstack(f(y), axis=-1)
    return np.stack([_gradient(tape, column, y) for column in columns], axis=-2)


def hessian(f: Function, y) -> np.ndarray:
    """Hessian of f at y, row by row: ``[n, m, m]`` for y ``[n, m]``."""
    return jacobian(lambda u: _slope(f, u), y)


def hessian_vector_product(f: Function, y, v) -> np.ndarray:
    """H v with H the Hessian of f at y, without forming H; v is shaped like y."""
    return next(hessian_vector_products(f, y, [v]))


def hessian_vector_products(f: Function, y, vectors: Iterable) -> Iterator[np.ndarray]:
    """H v for several v, each shaped like y, from one evaluation of f."""
    y = _tensor(y)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(y)
        slope = _slope(f, y)
    for v in vectors:
        yield _gradient(outer, slope, y, _tensor(v)).numpy()


def _slope(f: Callable, y):
    """The gradient of f at y, a tensor or a list of them; differentiable."""
    with tf.GradientTape() as tape:
        tape.watch(y)
        values = f(y)
    return _gradient(tape, values, y)


def _gradient(tape, target: tf.Tensor, y, weights=None):
    # The gradient of a function that does not depend on y is zero, not None.
    return tape.gradient(
        target,
        y,
        output_gradients=weights,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


def _tensor(array) -> tf.Tensor:
    return tf.convert_to_tensor(array, dtype=tf.float64)
