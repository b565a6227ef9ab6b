import keras
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _double_precision_of_the_references(x64):
    pass


def _gradient(function, x, upstream):
    """Gradient of `sum(upstream * function(x))` with respect to the array `x`."""
    x = keras.ops.convert_to_tensor(x)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = keras.ops.sum(function(x) * upstream)
        gradient = tape.gradient(loss, x)
    elif backend == "jax":
        import jax

        def loss(x):
            # The moving statistics must not keep what is traced here.
            with keras.StatelessScope():
                return keras.ops.sum(function(x) * upstream)

        gradient = jax.grad(loss)(x)
    else:
        x = x.detach().requires_grad_(True)
        keras.ops.sum(function(x) * keras.ops.convert_to_tensor(upstream)).backward()
        gradient = x.grad
    return keras.ops.convert_to_numpy(gradient)


@pytest.fixture
def gradient():
    return _gradient


@pytest.fixture
def rng():
    return np.random.default_rng(0)
