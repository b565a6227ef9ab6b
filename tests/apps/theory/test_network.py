import keras
import numpy as np
import pytest

from apps.theory import network
from apps.theory.linear_algebra import dot
from tests.apps.theory.problems import numerical_gradient


def small_model(after=(), epsilon=1e-3):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(3, 3, name="conv"),
            keras.layers.BatchNormalization(epsilon=epsilon, name="conv_bn"),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="dense"),
            keras.layers.BatchNormalization(epsilon=epsilon, name="dense_bn"),
            *after,
            keras.layers.Activation("tanh"),
            keras.layers.Dense(3, name="logits"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    for layer in ("conv_bn", "dense_bn"):
        bn = model.get_layer(layer)
        bn.gamma.assign(np.linspace(0.5, 2, bn.gamma.shape[0]))
        bn.beta.assign(np.linspace(-1, 1, bn.beta.shape[0]))
    return model


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 6, 6, 1)).astype("float32")
    return x, rng.integers(3, size=8)


@pytest.fixture(scope="module")
def measured(batch):
    return network.measure_units(small_model(), *batch, curvature_units=2)


def after_dense(model, outputs, labels):
    """The loss as a function of the dense layer's outputs, in NumPy."""
    bn, last = model.get_layer("dense_bn"), model.layers[-1]
    gamma, beta, kernel, bias = (
        np.asarray(array, dtype=np.float64)
        for array in (bn.gamma, bn.beta, last.kernel, last.bias)
    )

    def from_z(z):
        logits = np.tanh(z) @ kernel + bias
        log_sum = np.log(np.exp(logits).sum(axis=-1))
        return np.mean(log_sum - logits[np.arange(len(z)), labels])

    def from_y(y):
        y_hat = (y - y.mean(axis=0)) / np.sqrt(y.var(axis=0) + bn.epsilon)
        return from_z(gamma * y_hat + beta)

    return from_y, from_z


def test_gradients_of_the_last_units_by_differences(batch, measured):
    model = small_model()
    dense = measured[1].unit
    assert dense.y.shape == (4, 8)
    from_y, from_z = after_dense(model, dense.y.T, batch[1])
    cases = (
        (from_y, dense.y, dense.bn_gradient),
        (from_z, dense.z, dense.g),
    )
    for f, point, gradient in cases:

        def flat(vector, f=f):
            return f(vector.reshape(4, 8).T)

        expected = numerical_gradient(flat, point.ravel(), 1e-5).reshape(4, 8)
        np.testing.assert_allclose(gradient, expected, atol=1e-8)


def test_curvatures_of_the_last_units_by_differences(batch, measured):
    layer = measured[1]
    some = layer.curved
    from_y, from_z = after_dense(small_model(), layer.unit.y.T, batch[1])
    for k, y in enumerate(some.y):
        (row,) = np.flatnonzero((layer.unit.y == y).all(axis=1))

        def second_difference(f, rows, direction, row=row):
            step = 1e-3 / np.linalg.norm(direction)
            shift = np.zeros_like(rows)
            shift[row] = step * direction
            values = [f((rows + sign * shift).T) for sign in (-1, 0, 1)]
            return (values[0] - 2 * values[1] + values[2]) / step**2

        v, g = some.bn_gradient[k], some.g[k]
        unit = layer.unit
        for f, rows, direction, found in (
            (from_y, unit.y, v, layer.bn_along_v[k]),
            (from_z, unit.z, v, layer.along_v[k]),
            (from_z, unit.z, g, layer.along_g[k]),
        ):
            expected = second_difference(f, rows, direction)
            assert found == pytest.approx(
                expected, rel=1e-3, abs=1e-3 * dot([v], [v])[0]
            )


def test_the_outputs_are_those_of_the_layer(batch, measured):
    model = small_model()
    conv = np.asarray(model.get_layer("conv")(batch[0]))
    unit = measured[0].unit
    assert unit.y.shape == (3, 8 * 4 * 4)
    np.testing.assert_allclose(unit.y, conv.reshape(-1, 3).T, atol=1e-5)
    np.testing.assert_allclose(unit.gamma, [0.5, 1.25, 2.0])


def test_both_theorems_hold_to_rounding_with_keras_own_layer(measured):
    for layer in measured:
        row = network.summarize_layer(layer)
        assert row["theorem_4_1_violation"] < 1e-10
        assert row["theorem_4_2_violation"] < 1e-10
        assert row["theorem_4_1_printed_holds"] == row["units"]
        remaining = 1 - row["mean_share"] - row["inner_share"]
        assert row["smoothing"] == pytest.approx(row["scale"] * remaining, rel=1e-9)


def test_scaling_what_the_next_normalization_sees_changes_nothing(batch):
    conv, dense = (
        network.summarize_layer(layer)
        for layer in network.measure_units(small_model(epsilon=1e-9), *batch, 1)
    )
    assert abs(conv["balance"]) < 1e-6
    assert abs(dense["balance"]) > 1e-3


def test_the_model_is_left_as_it_was(batch):
    model = small_model()
    before = [np.array(weight) for weight in model.get_weights()]
    network.measure_units(model, *batch, curvature_units=1)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_logarithms_add_up(measured):
    rows = [network.summarize_layer(layer) for layer in measured]
    total = sum(np.log(row["smoothing"]) for row in rows)
    assert sum(network.smoothing_shares(rows).values()) == pytest.approx(total)


def test_what_cannot_be_measured_is_refused(batch):
    with pytest.raises(ValueError, match="random in training mode"):
        network.measure_units(small_model([keras.layers.Dropout(0.5)]), *batch)
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="not compiled"):
        network.measure_units(plain, np.ones((3, 2)), np.ones((3, 1)))
    plain.compile(loss="mse")
    with pytest.raises(ValueError, match="no BatchNormalization"):
        network.measure_units(plain, np.ones((3, 2)), np.ones((3, 1)))
