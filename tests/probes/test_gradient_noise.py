import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_bnsmooth import probes
from keras_bnsmooth.probes.layer_list import weight_layers
from tests.probes import example_models, reference, small_models

DOUBLE = keras.backend.backend() == "tensorflow"
DRAWS_PER_BATCH = 2**16


def batches_of(x, y, count=5):
    """Batches of random samples, all of one size."""
    rng = np.random.default_rng(3)
    for _ in range(count):
        scale = 1 + 0.3 * rng.normal(size=(len(y), 1))
        yield (
            keras.tree.map_structure(
                lambda a, s=scale: a * s.reshape(-1, *[1] * (a.ndim - 1)), x
            ),
            rng.permutation(y),
        )


def gradients(model, batches):
    """The gradient on each batch, in the order of `weight_layers`, [n][L] vectors."""
    seeds = [v for v in model.variables if v.name == "seed_generator_state"]
    weights = [np.array(v.numpy()) for v in model.trainable_variables]
    rows = []
    with reference.restored(model):
        for batch in batches:
            _, g = reference.value_and_grad(model, weights, *batch)
            rows.append(
                [
                    small_models.flat(g[i] for i in layer.positions)
                    for layer in weight_layers(model)
                ]
            )
            for seed in seeds:
                first, count = np.array(seed.numpy())
                seed.assign([first, count + DRAWS_PER_BATCH])
    return rows


def naive(vectors, size):
    """Signal, variance and cosine by a loop over all pairs of batches."""
    signal, variance, cosine = [], [], []
    for j, one in enumerate(vectors):
        for other in vectors[:j]:
            signal.append(one @ other)
            variance.append(size * np.sum((one - other) ** 2) / 2)
            cosine.append(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    return tuple(map(np.mean, (signal, variance, cosine)))


@pytest.mark.parametrize(
    "build",
    [
        small_models.mlp,
        small_models.bn_cnn,
        small_models.noisy_bn_cnn,
        small_models.dropout_and_regularizer,
        small_models.two_inputs,
    ],
    ids=lambda build: build.__name__,
)
@pytest.mark.usefixtures("float64")
def test_equals_a_loop_over_pairs_of_batches(build):
    model, (x, y) = build()
    batches = list(batches_of(x, y))
    r = probes.gradient_noise(model, batches)
    rows = gradients(model, batches)
    tolerance = 1e-6 if DOUBLE else 1e-3
    whole = [np.concatenate(row) for row in rows]
    signal, variance, cosine = naive(whole, 8)
    assert r.signal == pytest.approx(signal, rel=tolerance, abs=tolerance * variance)
    assert r.variance == pytest.approx(variance, rel=tolerance)
    assert r.cosine == pytest.approx(cosine, rel=tolerance, abs=tolerance)
    if signal > 0:
        assert r.noise_scale == pytest.approx(variance / signal, rel=5 * tolerance)
    assert (r.batches, r.batch_size) == (5, 8)
    assert r.layers == [layer.name for layer in weight_layers(model)]
    for number, name in enumerate(r.layers):
        signal, variance, cosine = naive([row[number] for row in rows], 8)
        found = r.layer_signal[number], r.layer_variance[number], r.layer_cosine[number]
        expected = signal, variance, cosine
        scale = max(variance, abs(signal))
        np.testing.assert_allclose(
            found, expected, rtol=tolerance, atol=tolerance * scale, err_msg=name
        )
        noise_scale = variance / signal if signal > 0 else np.inf
        # The bias before a normalization has a gradient of rounding errors.
        if scale > 1e-12 and abs(signal) > 0.1 * variance:
            np.testing.assert_allclose(
                r.layer_noise_scale[number], noise_scale, rtol=10 * tolerance
            )


def test_linear_regression_has_a_closed_form():
    """Errors (x'd - e)^2 of x ~ N(0, I) and e ~ N(0, s^2) at weights off by d.

    A sample's gradient is 2 x (x'd - e), with the mean 2 d and a covariance of the
    trace 4 (size + 1) ||d||^2 + 4 size s^2.
    """
    size, s = 6, 0.7
    rng = np.random.default_rng(0)
    d = rng.normal(size=(size, 1))
    dense = layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((size,)), dense])
    model.compile("sgd", "mse")
    dense.kernel.assign(d)

    def batches():
        for _ in range(1500):
            x, e = rng.normal(size=(16, size)), s * rng.normal(size=(16, 1))
            yield x.astype("float32"), e.astype("float32")

    r = probes.gradient_noise(model, batches())
    square = np.sum(d**2)
    variance = 4 * (size + 1) * square + 4 * size * s**2
    assert r.signal == pytest.approx(4 * square, rel=0.05)
    assert r.variance == pytest.approx(variance, rel=0.05)
    assert r.noise_scale == pytest.approx(variance / (4 * square), rel=0.05)
    np.testing.assert_allclose(r.layer_noise_scale, [r.noise_scale])


def test_batches_of_several_sizes_are_weighted_by_them():
    model, (x, y) = example_models.mlp()
    sizes = [8, 8, 3]
    batches = [(x[:n] * k, y[:n]) for k, n in enumerate(sizes, 1)]
    r = probes.gradient_noise(model, batches)
    vectors = [np.concatenate(row) for row in gradients(model, batches)]
    mean = np.average(vectors, axis=0, weights=sizes)
    spread = sum(
        n * np.sum((v - mean) ** 2) for n, v in zip(sizes, vectors, strict=True)
    )
    assert r.variance == pytest.approx(spread / 2, rel=1e-4)
    signal = np.sum(mean**2) - spread / 2 / 19
    assert r.signal == pytest.approx(signal, rel=1e-3)
    assert r.batch_size == pytest.approx(19 / 3)


def test_one_batch_twice_has_no_noise():
    model, batch = example_models.bn_cnn()
    r = probes.gradient_noise(model, [batch, batch])
    assert (r.variance, r.noise_scale) == pytest.approx((0, 0), abs=1e-6)
    assert r.cosine == pytest.approx(1, abs=1e-5)
    assert r.note == ""
    # Each batch draws its own noise, however.
    model, batch = example_models.dropout()
    assert probes.gradient_noise(model, [batch, batch]).variance > 0


def test_noise_that_hides_the_gradient_is_noted():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, use_bias=False)])
    model.compile("sgd", lambda y, y_pred: ops.mean(y * y_pred, axis=-1))
    ones = np.ones((4, 2))
    r = probes.gradient_noise(model, [(ones, np.full((4, 1), s)) for s in (1, -1)])
    # Gradients of (1, 1) and -(1, 1).
    assert (r.signal, r.variance, r.cosine) == pytest.approx((-2, 16, -1))
    assert r.noise_scale == np.inf
    assert "The mean of 2 batches is more noise than gradient" in r.note
    r = probes.gradient_noise(model, [(ones, np.full((4, 1), np.nan))] * 2)
    assert np.isnan([r.signal, r.variance, r.noise_scale, r.cosine]).all()
    assert "not finite" in r.note


def test_a_layer_without_gradient():
    model, batch = example_models.unconnected()
    r = probes.gradient_noise(model, [batch, batch])
    idle = r.layers.index("idle")
    assert r.layer_signal[idle] == r.layer_variance[idle] == 0
    assert np.isnan([r.layer_noise_scale[idle], r.layer_cosine[idle]]).all()
    assert np.isfinite(r.cosine)


def test_leaves_every_variable_and_seed_as_it_was():
    model, (x, y) = example_models.noisy_bn_cnn()
    model.fit(x, y, verbose=0)
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    before = [np.array(v.numpy()) for v in variables]
    first = probes.gradient_noise(model, [(x, y), (x[::-1], y)])
    again = probes.gradient_noise(model, [(x, y), (x[::-1], y)])
    assert first.noise_scale == again.noise_scale
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: [(x, y)], "at least two batches; received 1"),
        (lambda x, y: [], "at least two batches; received 0"),
        (lambda x, y: (x, y), "must be several batches.*received a tuple"),
        (lambda x, y: x, "must be several batches.*received a ndarray"),
        (lambda x, y: [(x[:, :3], y)] * 2, "incompatible"),
    ],
)
def test_invalid_batches(change, message):
    model, (x, y) = example_models.mlp()
    with pytest.raises(ValueError, match=message):
        probes.gradient_noise(model, change(x, y))
