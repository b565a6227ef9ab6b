"""Derivatives of a function of arrays, for a batch of independent instances.

The theory of the paper differentiates a loss with respect to the outputs of one
unit. Here ``f`` maps an array ``[n, m]`` (n instances of m numbers) to ``[n]``
values, value i depending on row i alone, or to one scalar; the derivatives come
back as float64 NumPy arrays.
"""

from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "apps.theory differentiates on TensorFlow only; KERAS_BACKEND is "
        f"{keras.backend.backend()!r}: set it to 'tensorflow'."
    )
import tensorflow as tf

Function = Callable[[tf.Tensor], tf.Tensor]


def gradient(f: Function, y) -> np.ndarray:
    """Gradient of f at y, row by row: ``[n, m]`` for y ``[n, m]``."""
    y = _tensor(y)
    with tf.GradientTape() as tape:
        tape.watch(y)
        values = f(y)
    return _gradient(tape, values, y).numpy()


def gradients(f: Callable, points: list) -> list[np.ndarray]:
    """Gradients of the scalar f(points) with respect to each of a list of arrays."""
    points = [_tensor(point) for point in points]
    with tf.GradientTape() as tape:
        tape.watch(points)
        value = f(points)
    return [slope.numpy() for slope in _gradient(tape, value, points)]


def jacobian(f: Function, y) -> np.ndarray:
    """Jacobian of f, ``[n, m] -> [n, k]``, at y: ``[n, k, m]``."""
    y = _tensor(y)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        columns = tf.unstack(f(y), axis=-1)
    return _rows(tape, columns, y)


def hessian(f: Function, y) -> np.ndarray:
    """Hessian of f at y, row by row: ``[n, m, m]`` for y ``[n, m]``."""
    y = _tensor(y)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(y)
        with tf.GradientTape() as inner:
            inner.watch(y)
            values = f(y)
        columns = tf.unstack(_gradient(inner, values, y), axis=-1)
    return _rows(outer, columns, y)


def hessian_vector_product(f: Function, y, v) -> np.ndarray:
    """H v with H the Hessian of f at y, without forming H; v is shaped like y."""
    return next(hessian_vector_products(f, y, [v]))


def hessian_vector_products(f: Function, y, vectors: Iterable) -> Iterator[np.ndarray]:
    """H v for several v, each shaped like y, from one evaluation of f."""
    y = _tensor(y)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(y)
        with tf.GradientTape() as inner:
            inner.watch(y)
            values = f(y)
        slope = _gradient(inner, values, y)
    for v in vectors:
        yield _gradient(outer, slope, y, _tensor(v)).numpy()


def _tensor(array) -> tf.Tensor:
    return tf.convert_to_tensor(array, dtype=tf.float64)


def _gradient(tape, target: tf.Tensor, y, weights=None):
    """A function that does not depend on y has the gradient zero, not None."""
    return tape.gradient(
        target,
        y,
        output_gradients=weights,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


def _rows(tape: tf.GradientTape, columns: list[tf.Tensor], y: tf.Tensor) -> np.ndarray:
    return np.stack([_gradient(tape, column, y) for column in columns], axis=-2)
