import importlib
import runpy

import keras
import numpy as np
import pytest

from keras_bnsmooth import autodiff


def build():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(5, activation="tanh")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, kernel_regularizer="l2")(x))
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(8, 4)), rng.normal(size=(8, 2))


@pytest.mark.usefixtures("float64")
def test_gradient_equals_finite_differences_of_the_loss():
    model, x, y = build()
    # Other backends of Keras take means in single precision.
    double = keras.backend.backend() == "tensorflow"
    step, rtol = (1e-6, 1e-6) if double else (1e-2, 1e-2)
    function = autodiff.compiled(model, autodiff.value_and_grad)
    loss, gradient = function(*map(keras.ops.convert_to_tensor, (x, y)))
    np.testing.assert_allclose(loss, model.evaluate(x, y, verbose=0), rtol=1e-6)
    for variable, g in zip(model.trainable_variables, gradient, strict=True):
        value = np.array(variable.numpy())
        index = tuple(size - 1 for size in value.shape)
        losses = []
        for sign in (1, -1):
            moved = value.copy()
            moved[index] += sign * step
            variable.assign(moved)
            losses.append(model.evaluate(x, y, verbose=0))
        variable.assign(value)
        slope = (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(g[index], slope, rtol=rtol, atol=1e-9)


def test_single_weights_by_position():
    model, x, y = build()
    batch = [keras.ops.convert_to_tensor(a.astype("float32")) for a in (x, y)]
    _, everything = autodiff.compiled(model, autodiff.value_and_grad)(*batch)

    def some(model, weights, state, x, y):
        return autodiff.value_and_grad(
            model, weights, state, x, y, with_respect_to=[3, 0]
        )

    _, (third, first) = autodiff.compiled(model, some)(*batch)
    np.testing.assert_allclose(third, everything[3], rtol=1e-6)
    np.testing.assert_allclose(first, everything[0], rtol=1e-6)


def test_map_in_order_stacks():
    values = keras.ops.convert_to_tensor([1.0, 2.0, 3.0])
    mapped = autodiff.sequential_map(lambda v: keras.ops.stack([v, v * v]), values)
    np.testing.assert_array_equal(mapped, [[1, 1], [2, 4], [3, 9]])


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="the theory's own backend"
)
def test_the_theory_is_refused_in_one_line():
    with pytest.raises(ImportError, match="set it to 'tensorflow'"):
        importlib.import_module("apps.theory")


def test_other_backends_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(ImportError, match="KERAS_BACKEND is 'numpy'"):
        runpy.run_path(autodiff.__file__)
