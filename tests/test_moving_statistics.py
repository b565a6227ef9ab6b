import doctest
import inspect
import random

import keras
import numpy as np
import pytest
from keras import layers

from keras_bnsmooth import moving_statistics, recompute_moving_statistics
from keras_bnsmooth.layers import (
    ActivationNoise,
    LpNormalization,
    NoisyBatchNormalization,
)
from tests.layers import normalization_reference as reference

RNG = np.random.default_rng(0)
X = RNG.normal(1, 2, (30, 5)).astype("float32")
BATCHES = [X[:12], X[12:24], X[24:]]
SIZES = [12, 12, 6]


def to_numpy(tensor):
    return np.array(keras.ops.convert_to_numpy(tensor))


def mlp(norm, noise=(), **compile_arguments):
    """Two dense layers, each followed by a normalization; `noise` comes in between."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(6, name="dense1"),
            norm(name="norm1"),
            *noise,
            layers.ReLU(),
            layers.Dense(4, name="dense2"),
            norm(name="norm2"),
        ]
    )
    model.compile("sgd", "mse", metrics=["mae"], **compile_arguments)
    return model


def statistics(layer):
    return {
        v.name: to_numpy(v)
        for v in layer.non_trainable_variables
        if v.name.startswith("moving")
    }


def all_statistics(model):
    return {
        f"{name}/{key}": value
        for name in ("norm1", "norm2")
        for key, value in statistics(model.get_layer(name)).items()
    }


def check_same(found, expected, rtol=1e-5):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol, 1e-6, err_msg=name)


def averages(model, moments, normalize, batches=BATCHES):
    """The averages in float64 NumPy: every batch goes through the whole network."""
    found = {"norm1": [], "norm2": []}
    for batch in batches:
        x = batch.astype("float64")
        for number in (1, 2):
            dense = model.get_layer(f"dense{number}")
            kernel, bias = (to_numpy(w).astype("float64") for w in dense.weights)
            x = x @ kernel + bias
            found[f"norm{number}"].append(moments(x))
            norm = model.get_layer(f"norm{number}")
            x = normalize(x) * to_numpy(norm.gamma) + to_numpy(norm.beta)
            x = np.maximum(x, 0)
    weights = [len(batch) for batch in batches]
    return {
        name: np.average(of_batches, axis=0, weights=weights)
        for name, of_batches in found.items()
    }


def batch_normalize(x):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)


def bn_averages(model, batches=BATCHES):
    found = averages(model, lambda x: (x.mean(0), x.var(0)), batch_normalize, batches)
    return {
        f"{name}/moving_{moment}": value
        for name, values in found.items()
        for moment, value in zip(("mean", "variance"), values, strict=True)
    }


@pytest.mark.parametrize(
    "compile_arguments", [{}, {"jit_compile": False}, {"run_eagerly": True}]
)
def test_batch_normalization_gets_the_averages_over_the_batches(compile_arguments):
    model = mlp(layers.BatchNormalization, **compile_arguments)
    model.fit(X, X[:, :4], verbose=0)
    recompute_moving_statistics(model, BATCHES)
    check_same(all_statistics(model), bn_averages(model))


@pytest.mark.tensorflow
def test_under_xla():
    model = mlp(layers.BatchNormalization, jit_compile=True)
    recompute_moving_statistics(model, BATCHES)
    check_same(all_statistics(model), bn_averages(model))


def test_without_noise_a_noisy_network_gets_those_of_batch_normalization():
    noise = [layers.Dropout(0.5), layers.GaussianNoise(1.0), ActivationNoise()]
    noisy = mlp(NoisyBatchNormalization, noise)
    recompute_moving_statistics(noisy, BATCHES)
    check_same(all_statistics(noisy), bn_averages(noisy))
    recompute_moving_statistics(noisy, BATCHES, noise=True)
    found, without_noise = all_statistics(noisy), bn_averages(noisy)
    # Nothing adds noise before the first normalization.
    np.testing.assert_allclose(
        found["norm1/moving_variance"], without_noise["norm1/moving_variance"], 1e-5
    )
    later = "norm2/moving_variance"
    assert np.all(np.abs(found[later] - without_noise[later]) > 0.01)


def test_noise_is_drawn_anew_for_every_batch():
    noise = ActivationNoise(n_mu=1.0, n_sigma=1.0, r_mu=0.0, r_sigma=0.0, seed=0)
    norm = layers.BatchNormalization()
    model = keras.Sequential([keras.Input((1,)), noise, norm])
    zeros = np.zeros((4, 1), "float32")
    means = []
    for count in (1, 2, 400):
        recompute_moving_statistics(model, [zeros] * count, noise=True)
        means.append(float(norm.moving_mean[0]))
    # Averages of U(-1, 1), whose standard deviation is 0.58.
    assert means[0] != means[1]
    assert abs(means[2]) < 4 * 0.58 / np.sqrt(400)
    recompute_moving_statistics(model, zeros)
    assert float(norm.moving_mean[0]) == 0


@pytest.mark.parametrize(
    ("p", "centered", "power"),
    [(1, False, 1), (2, False, 1), (np.inf, False, 1), (2, True, 2)],
)
def test_lp_normalization_averages_what_it_averages_in_training(p, centered, power):
    def norm(name):
        return LpNormalization(p, norm_after_centering=centered, name=name)

    def moments(x):
        mean, p_norm = reference.statistics(x, p, centered)
        return mean, p_norm**power

    def normalize(x):
        return reference.normalize(x, *reference.statistics(x, p, centered), 1e-3)

    model = mlp(norm)
    recompute_moving_statistics(model, BATCHES)
    expected = {
        f"{name}/{key}": value
        for name, (mean, norms) in averages(model, moments, normalize).items()
        for key, value in (
            ("moving_mean", mean),
            ("moving_norm", norms ** (1 / power)),
        )
    }
    check_same(all_statistics(model), expected)


def test_batch_renormalization():
    try:
        norm = layers.BatchNormalization(renorm=True, name="norm")
    except (TypeError, ValueError):
        pytest.skip("this version of Keras has no batch renormalization")
    model = keras.Sequential([keras.Input((5,)), norm])
    training_state = to_numpy(norm.renorm_mean)
    recompute_moving_statistics(model, BATCHES)
    deviations = [np.sqrt(b.astype("float64").var(0) + 1e-3) for b in BATCHES]
    deviation = np.average(deviations, axis=0, weights=SIZES)
    check_same(
        statistics(norm),
        {
            "moving_mean": X.astype("float64").mean(0),
            "moving_variance": deviation**2 - 1e-3,
            "moving_stddev": deviation,
        },
    )
    np.testing.assert_array_equal(to_numpy(norm.renorm_mean), training_state)


@pytest.mark.usefixtures("float64")
def test_double_precision():
    model = mlp(layers.BatchNormalization)
    recompute_moving_statistics(model, [b.astype("float64") for b in BATCHES])
    # Off TensorFlow, Keras' batch normalization computes in single precision.
    rtol = 1e-12 if keras.backend.backend() == "tensorflow" else 1e-5
    found, expected = all_statistics(model), bn_averages(model)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol, 1e-3 * rtol)


def test_half_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = mlp(NoisyBatchNormalization)
        recompute_moving_statistics(model, BATCHES)
    finally:
        keras.config.set_dtype_policy(policy)
    check_same(all_statistics(model), bn_averages(model), rtol=0.1)


def state_of(model):
    """All that must not change, by name."""
    variables = [
        *(v for v in model.variables if not v.name.startswith("moving")),
        *model.optimizer.variables,
        *model.metrics_variables,
    ]
    return (
        [to_numpy(v) for v in variables],
        random.getstate(),
        [*map(str, np.random.get_state())],
        [sorted(vars(layer)) for layer in model.layers],
        [getattr(layer, "momentum", None) for layer in model.layers],
    )


@pytest.mark.parametrize("noise", [False, True])
def test_nothing_else_changes(noise):
    def build():
        between = [
            layers.Dropout(0.5, seed=3),
            layers.ActivityRegularization(l2=0.1),
            ActivationNoise(seed=4),
        ]
        model = mlp(lambda name: NoisyBatchNormalization(seed=1, name=name), between)
        model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
        model.fit(X, X[:, :4], batch_size=10, shuffle=False, verbose=0)
        return model

    plain, model = build(), build()
    model(X)
    losses = [to_numpy(loss) for loss in model.losses]
    assert len(losses) == 1
    before = state_of(model)
    recompute_moving_statistics(model, BATCHES, noise=noise)
    np.testing.assert_equal(state_of(model), before)
    np.testing.assert_array_equal([to_numpy(loss) for loss in model.losses], losses)
    # Training does not depend on moving statistics, so it goes on the same way.
    for one in (plain, model):
        one.fit(X, X[:, :4], batch_size=10, shuffle=False, verbose=0)
    np.testing.assert_equal(state_of(model), state_of(plain))


def test_an_error_in_the_middle_changes_nothing():
    model = mlp(layers.BatchNormalization)
    before = all_statistics(model)
    with pytest.raises(ValueError):
        recompute_moving_statistics(model, [*BATCHES, X[:, :3]])
    np.testing.assert_equal(all_statistics(model), before)
    assert model.get_layer("norm1").momentum == 0.99


def test_statistics_that_are_not_finite_are_replaced():
    model = mlp(layers.BatchNormalization)
    norm = model.get_layer("norm1")
    norm.moving_mean.assign(np.full(6, np.nan))
    norm.moving_variance.assign(np.full(6, np.inf))
    recompute_moving_statistics(model, BATCHES)
    check_same(all_statistics(model), bn_averages(model))


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, index):
        return BATCHES[index], np.zeros(len(BATCHES[index]))


def tf_dataset():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, X)).batch(12)


def data_loader():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(X))
    return torch.utils.data.DataLoader(data, batch_size=12)


@pytest.mark.parametrize(
    "data",
    [
        lambda: (batch for batch in BATCHES),
        lambda: [(batch, None) for batch in BATCHES],
        lambda: ([batch, batch, None] for batch in BATCHES),
        Batches,
        tf_dataset,
        data_loader,
    ],
)
def test_data_come_in_any_form(data):
    model = mlp(layers.BatchNormalization)
    recompute_moving_statistics(model, data())
    check_same(all_statistics(model), bn_averages(model))


@pytest.mark.parametrize(
    "batch", [X, (X,), (X, None), (X, X, X), keras.ops.convert_to_tensor(X)]
)
def test_a_single_batch(batch):
    model = mlp(layers.BatchNormalization)
    recompute_moving_statistics(model, batch)
    check_same(all_statistics(model), bn_averages(model, [X]))


def test_inputs_in_a_dict():
    inputs = {name: keras.Input((5,), name=name) for name in "ab"}
    norm = layers.BatchNormalization()
    model = keras.Model(inputs, norm(inputs["a"] - inputs["b"]))
    recompute_moving_statistics(model, {"a": X, "b": 2 * X})
    np.testing.assert_allclose(to_numpy(norm.moving_mean), -X.mean(0), 1e-5)


def test_layers_inside_models_and_other_layers():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense, self.norm = layers.Dense(5), NoisyBatchNormalization()

        def call(self, x, training=False):
            return self.norm(self.dense(x), training=training)

    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.block = Block()
            self.inner = keras.Sequential([LpNormalization(1)])

        def call(self, x, training=False):
            return self.inner(self.block(x))

    network = Network()
    network(X)
    recompute_moving_statistics(network, X)
    a = to_numpy(network.block.dense(X))
    norm = network.block.norm
    np.testing.assert_allclose(to_numpy(norm.moving_mean), a.mean(0), 1e-5, 1e-6)
    np.testing.assert_allclose(to_numpy(norm.moving_variance), a.var(0), 1e-5)
    expected = np.abs(batch_normalize(a.astype("float64"))).mean(0)
    inner = network.inner.layers[0]
    np.testing.assert_allclose(to_numpy(inner.moving_norm), expected, 1e-5)


def test_a_layer_that_is_called_twice_averages_over_its_calls():
    inputs = keras.Input((5,))
    norm = layers.BatchNormalization()
    model = keras.Model(inputs, [norm(inputs), norm(3 * inputs)])
    recompute_moving_statistics(model, BATCHES)
    x = X.astype("float64")
    np.testing.assert_allclose(to_numpy(norm.moving_mean), 2 * x.mean(0), 1e-5)
    variance = [b.astype("float64").var(0) for b in BATCHES]
    expected = (1 + 9) / 2 * np.average(variance, axis=0, weights=SIZES)
    np.testing.assert_allclose(to_numpy(norm.moving_variance), expected, 1e-5)


class Pinned(layers.Layer):
    """Runs its normalization in inference mode, in training too."""

    def __init__(self):
        super().__init__()
        self.norm = layers.BatchNormalization()

    def call(self, x):
        return self.norm(x, training=False)


def test_layers_that_training_runs_in_inference_mode_are_left_alone():
    frozen, pinned = NoisyBatchNormalization(), Pinned()
    last = layers.BatchNormalization()
    model = keras.Sequential([keras.Input((5,)), frozen, pinned, last])
    frozen.trainable, pinned = False, pinned.norm
    for norm in (frozen, pinned):
        norm.moving_mean.assign(np.full(5, 2.0))
        norm.moving_variance.assign(np.full(5, 4.0))
    recompute_moving_statistics(model, BATCHES)
    for norm in (frozen, pinned):
        np.testing.assert_array_equal(to_numpy(norm.moving_mean), 2)
        np.testing.assert_array_equal(to_numpy(norm.moving_variance), 4)
    scale = 1 / np.sqrt(4 + 1e-3)
    expected = ((X.astype("float64").mean(0) - 2) * scale - 2) * scale
    np.testing.assert_allclose(to_numpy(last.moving_mean), expected, 1e-5)
    # Freezing is noticed although the function was compiled before.
    last.trainable, frozen.trainable = False, True
    recompute_moving_statistics(model, BATCHES)
    np.testing.assert_allclose(to_numpy(frozen.moving_mean), X.mean(0), 1e-5)
    np.testing.assert_allclose(to_numpy(last.moving_mean), expected, 1e-5)


def one_line(match):
    return pytest.raises(ValueError, match=rf"\A[^\n]*{match}[^\n]*\Z")


def test_mistakes_are_named():
    model = mlp(layers.BatchNormalization)
    with one_line("data must have at least one batch"):
        recompute_moving_statistics(model, [])
    with one_line("data must be a batch x or .* received int"):
        recompute_moving_statistics(model, 3)
    with one_line("is not built"):
        recompute_moving_statistics(keras.Sequential([layers.Dense(2)]), X)

    class Endless(Batches):
        @property
        def num_batches(self):
            return None

    with one_line("data must end"):
        recompute_moving_statistics(model, Endless())
    nothing = "no moving statistics to recompute"
    with one_line(nothing):
        recompute_moving_statistics(mlp(layers.LayerNormalization), X)
    model.trainable = False
    with one_line(nothing):
        recompute_moving_statistics(model, X)
    with one_line(nothing):
        recompute_moving_statistics(keras.Sequential([keras.Input((5,)), Pinned()]), X)


def test_inference_with_noisy_layers_is_training_without_noise():
    between = [layers.Dropout(0.5), ActivationNoise()]
    noisy, plain = mlp(NoisyBatchNormalization, between), mlp(layers.BatchNormalization)
    noisy.fit(X, X[:, :4], batch_size=10, epochs=3, verbose=0)
    trainable = zip(plain.trainable_weights, noisy.trainable_weights, strict=True)
    for variable, of_noisy in trainable:
        variable.assign(of_noisy)
    expected = to_numpy(plain(X, training=True))
    assert np.max(np.abs(to_numpy(noisy(X)) - expected)) > 0.1
    recompute_moving_statistics(noisy, X)
    np.testing.assert_allclose(to_numpy(noisy(X)), expected, 1e-4, 1e-5)


def test_the_example_runs():
    failed, attempted = doctest.testmod(moving_statistics)
    assert (failed, attempted) == (0, 7)


def test_it_is_public():
    import keras_bnsmooth as kb

    assert kb.recompute_moving_statistics is recompute_moving_statistics
    parameters = inspect.signature(kb.recompute_moving_statistics).parameters
    assert list(parameters) == ["model", "data", "noise"]
