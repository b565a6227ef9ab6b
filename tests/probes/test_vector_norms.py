import keras
import numpy as np
import pytest
from keras import layers

from keras_bnsmooth import probes
from keras_bnsmooth.callbacks import ICSProbe, LandscapeProbe
from keras_bnsmooth.probes import lanczos, vector_norms

RNG = np.random.default_rng(0)
SHAPES = ((3, 4), (5,), ())
# Squares of all of these are beyond the range of float32.
SCALES = [
    (1e-30, 1e-22, 1e-25),
    (1e20, 1e31, 1e25),
    (1e-25, 1e25, 1.0),
    (1e-25, 0.0, 1e-22),
]


def random(scales=(1.0, 1.0, 1.0)):
    return [
        np.asarray(RNG.normal(size=shape) * scale, "float32")
        for shape, scale in zip(SHAPES, scales, strict=True)
    ]


def flat(arrays):
    return np.concatenate([a.astype(np.float64).ravel() for a in arrays])


def tensors(arrays):
    return [keras.ops.convert_to_tensor(a) for a in arrays]


@pytest.mark.parametrize("scales", SCALES)
def test_norm(scales):
    arrays = random(scales)
    squares = vector_norms.scaled_squares(tensors(arrays), "float32")
    expected = np.linalg.norm(flat(arrays))
    assert vector_norms.norm(squares) == pytest.approx(expected, rel=1e-6)
    on_device = float(vector_norms.norm_on_device(squares))
    assert on_device == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scales", SCALES)
def test_cosine_and_distance(scales):
    a, b = random(scales), random(scales)
    products = vector_norms.scaled_products(tensors(a), tensors(b), "float32")
    cosine, distance = vector_norms.cosine_and_distance(products)
    x, y = flat(a), flat(b)
    expected = x @ y / (np.linalg.norm(x) * np.linalg.norm(y))
    assert cosine == pytest.approx(expected, rel=1e-5)
    difference = flat([u - v for u, v in zip(a, b, strict=True)])
    assert distance == pytest.approx(np.linalg.norm(difference), rel=1e-6)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_values_that_are_not_finite(value):
    arrays = random()
    arrays[0][1, 2] = value
    squares = vector_norms.scaled_squares(tensors(arrays), "float32")
    np.testing.assert_array_equal(vector_norms.norm(squares), abs(value))
    products = vector_norms.scaled_products(
        tensors(arrays), tensors(random()), "float32"
    )
    cosine, distance = vector_norms.cosine_and_distance(products)
    assert np.isnan(cosine)
    np.testing.assert_array_equal(distance, abs(value))


def test_zero():
    zeros = [0 * a for a in random()]
    squares = vector_norms.scaled_squares(tensors(zeros), "float32")
    assert vector_norms.norm(squares) == 0
    assert float(vector_norms.norm_on_device(squares)) == 0
    products = vector_norms.scaled_products(tensors(zeros), tensors(zeros), "float32")
    cosine, distance = vector_norms.cosine_and_distance(products)
    assert np.isnan(cosine)
    assert distance == 0


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_norm_on_the_host(scale):
    found = lanczos.norm([np.array([3.0, 0.0]) * scale, np.array([[4.0]]) * scale])
    assert found == pytest.approx(5 * scale, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_norm_in_double_precision(scale, float64):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras computes in single precision on the other backends")
    values = [np.array([3.0]) * scale, np.zeros(2), np.array([[4.0]]) * scale]
    squares = vector_norms.scaled_squares(tensors(values), "float64")
    assert vector_norms.norm(squares) == pytest.approx(5 * scale, rel=1e-12)


def deep_sigmoids(depth=40, width=4):
    """Gradients shrink by about a fourth per layer, to 1e-21 to 1e-26 at the first."""
    keras.utils.set_random_seed(0)
    stack = [layers.Dense(width, activation="sigmoid") for _ in range(depth)]
    model = keras.Sequential([keras.Input((width,)), *stack, layers.Dense(1)])
    model.compile("sgd", "mse")
    x = RNG.normal(size=(8, width)).astype("float32")
    return model, (x, RNG.normal(size=(8, 1)).astype("float32"))


def gradients_in_float64(model, weights, x, y):
    """Backpropagation through sigmoids and a linear layer, by hand."""
    outputs = [x.astype(np.float64)]
    kernels, biases = weights[::2], weights[1::2]
    for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
        outputs.append(1 / (1 + np.exp(-(outputs[-1] @ kernel + bias))))
    delta = 2 * (outputs[-1] @ kernels[-1] + biases[-1] - y) / y.size
    gradients = []
    for number in reversed(range(len(kernels))):
        gradients[:0] = [outputs[number].T @ delta, delta.sum(axis=0)]
        delta = delta @ kernels[number].T * outputs[number] * (1 - outputs[number])
    return gradients


def test_covariate_shift_of_vanishing_gradients():
    model, (x, y) = deep_sigmoids()
    weights = [np.array(v.numpy(), np.float64) for v in model.trainable_variables]
    g = gradients_in_float64(model, weights, x, y)
    assert np.linalg.norm(g[0]) < 1e-20
    learning_rate = 10.0
    moved = [w - learning_rate * d for w, d in zip(weights, g, strict=True)]
    r = probes.internal_covariate_shift(model, x, y, learning_rate)
    for number in range(len(r.layers)):
        mixed = moved[: 2 * number] + weights[2 * number :]
        pair = slice(2 * number, 2 * number + 2)
        a, b = flat(g[pair]), flat(gradients_in_float64(model, mixed, x, y)[pair])
        expected = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        assert r.cosine[number] == pytest.approx(expected, abs=1e-4)
        # The difference of nearly equal gradients is rounding in float32.
        distance = np.linalg.norm(a - b)
        assert r.l2[number] == pytest.approx(
            distance, rel=1e-3, abs=1e-5 * np.linalg.norm(a)
        )
    assert r.cosine[1] == pytest.approx(1.0, abs=1e-6)


def test_layer_scales_of_vanishing_gradients():
    model, (x, y) = deep_sigmoids()
    weights = [np.array(v.numpy(), np.float64) for v in model.trainable_variables]
    g = gradients_in_float64(model, weights, x, y)
    r = probes.layer_scales(model, weights, weights, 0.1, x=x, y=y)
    expected = [np.linalg.norm(flat(g[i : i + 2])) for i in range(0, len(g), 2)]
    np.testing.assert_allclose(r.gradient_norm, expected, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e-21, 1.0, 1e15, 1e31])
@pytest.mark.parametrize("direction", ["gradient", "random"])
def test_landscape_of_tiny_and_huge_gradients(scale, direction):
    # L(w) = scale (mean(x) . w)^2 / 2 has the curvature scale ||mean(x)||^2.
    x = np.array([[3.0, 1.0], [3.0, 7.0]])
    mean = np.array([3.0, 4.0])
    dense = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((2,)), dense])

    def loss(y, y_pred):
        return scale / 2 * keras.ops.square(keras.ops.mean(y_pred)) * keras.ops.ones(2)

    model.compile("sgd", loss)
    gradient_norm = scale * 7 * 5
    step_sizes = np.array([0.01, 0.1]) / scale
    r = probes.landscape(model, x, np.zeros((2, 1)), step_sizes, direction=direction)
    assert r.gradient_norm == pytest.approx(gradient_norm, rel=1e-5)
    along = mean / 5
    if direction == "random":
        drawn = np.random.default_rng(0).standard_normal((2, 1))[:, 0]
        along = drawn / np.linalg.norm(drawn)
    distances = step_sizes * gradient_norm * scale * abs(mean @ along) * 5
    np.testing.assert_allclose(r.gradient_distances, distances, rtol=1e-4)
    moved = mean @ np.ones(2) - step_sizes * gradient_norm * (mean @ along)
    np.testing.assert_allclose(r.losses, scale / 2 * moved**2, rtol=1e-4)
    assert r.beta == pytest.approx(scale * 5 * abs(mean @ along), rel=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e-21, 1.0, 1e15, 1e31])
def test_curvature_of_tiny_and_huge_gradients(scale):
    x = np.array([[3.0, 4.0]])
    dense = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((2,)), dense])
    model.compile("sgd", lambda y, y_pred: scale / 2 * keras.ops.square(y_pred))
    y = np.zeros((1, 1))
    r = probes.sharpness(model, x, y)
    assert r.gradient_norm == pytest.approx(scale * 35, rel=1e-5)
    assert r.sharpness == pytest.approx(scale * 25, rel=1e-4)
    assert r.gradient_curvature == pytest.approx(scale * 25, rel=1e-4)
    eta = probes.critical_learning_rate(model, x, y)
    assert eta == pytest.approx(2 / (scale * 25), rel=0.05)


def test_tiny_targets_and_outputs():
    dense = layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((2,)), dense])
    model.compile("sgd", "mse")
    x, y = np.array([[3.0, 4.0]]), np.array([[1e-21]])
    probe = LandscapeProbe((x, y), every=1, step_sizes=[1e-3, 1e-2])
    shift = ICSProbe((x, y), every=1)
    model.fit(x, y, verbose=0, callbacks=[probe, shift])
    assert probe.history["gradient_norm"][0] == pytest.approx(1e-20, rel=1e-5)
    # L = (3 a + 4 b - y)^2 has the curvature 2 * 25.
    np.testing.assert_allclose(probe.history["beta"][0], 50, rtol=1e-4)
    assert shift.history["cosine"][0, 0] == pytest.approx(1.0, abs=1e-6)
