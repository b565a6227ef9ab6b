import gc
import resource
import weakref

import keras
import numpy as np
import pytest

from keras_bnsmooth import probes
from keras_bnsmooth.probes import directions, rounding
from keras_bnsmooth.probes.landscape import smoothness
from tests.probes import example_models, reference

STEP_SIZES = np.array([0.05, 0.2, 0.4])


def split(batch):
    return batch if len(batch) == 3 else (*batch, None)


def check_against_reference(model, batch, direction="gradient", **arguments):
    x, y, sample_weight = split(batch)
    drawn = directions.random_direction(direction, model, seed=0)
    loss, gradient_norm, losses, distances, beta = reference.landscape(
        model, x, y, STEP_SIZES, sample_weight, drawn
    )
    r = probes.landscape(
        model,
        x,
        y,
        STEP_SIZES,
        sample_weight=sample_weight,
        direction=direction,
        **arguments,
    )
    np.testing.assert_allclose(r.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(r.gradient_norm, gradient_norm, rtol=1e-4)
    np.testing.assert_allclose(r.losses, losses, rtol=1e-4)
    np.testing.assert_allclose(r.gradient_distances, distances, rtol=1e-4)
    np.testing.assert_allclose(r.beta, beta, rtol=1e-4)
    np.testing.assert_array_equal(r.step_sizes, STEP_SIZES)
    assert r.resolved.all()
    return r


@pytest.mark.parametrize(
    "build",
    example_models.PAPER + example_models.KINDS,
    ids=lambda build: build.__name__,
)
def test_equals_setting_weights_one_at_a_time(build):
    check_against_reference(*build())


@pytest.mark.parametrize("direction", directions.RANDOM)
def test_random_directions_equal_setting_weights(direction):
    check_against_reference(*example_models.bn_cnn(), direction=direction)


@pytest.mark.parametrize(
    "build", example_models.PAPER, ids=lambda build: build.__name__
)
def test_xla_gives_the_same_numbers(build):
    check_against_reference(*build(jit_compile=True))


def test_leaves_every_variable_and_seed_as_it_was():
    for build in (example_models.noisy_bn_cnn, example_models.adam):
        model, (x, y) = build()
        model.fit(x, y, verbose=0)
        variables = [*model.variables, *model.optimizer.variables]
        variables += model.metrics_variables
        before = [np.array(v.numpy()) for v in variables]
        for _ in range(2):
            probes.landscape(model, x, y, STEP_SIZES)
            probes.internal_covariate_shift(model, x, y, 0.1)
            probes.activations(model, x)
        for variable, value in zip(variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value, variable.path)


def test_leaves_the_losses_of_the_last_call_in_place():
    model, (x, y) = example_models.added_losses()
    model(x)
    before = list(map(keras.ops.convert_to_numpy, model.losses))
    probes.landscape(model, x, y, STEP_SIZES)
    assert list(map(keras.ops.convert_to_numpy, model.losses)) == before


def test_quadratic_beta_is_the_curvature_along_the_gradient():
    # L(w) = mean over samples of (w . x - y)^2 has the Hessian H = 2 X^T X / n.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 1))
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.compile("sgd", "mse")
    w = model.get_weights()[0].astype(np.float64)
    hessian = 2 * x.T @ x / len(x)
    g = 2 * x.T @ (x @ w - y) / len(x)
    expected = np.linalg.norm(hessian @ g) / np.linalg.norm(g)
    r = probes.landscape(model, x, y, [0.01, 0.1, 1.0])
    np.testing.assert_allclose(r.beta, expected, rtol=1e-4)
    np.testing.assert_allclose(
        r.gradient_distances, r.step_sizes * np.linalg.norm(hessian @ g), rtol=1e-4
    )
    assert r.gradient_norm == pytest.approx(np.linalg.norm(g), rel=1e-5)


def test_beta_of_every_step_size():
    # L(w) = c w^2 / 2 at w = 1 has g = c, and the gradient c (1 - s c) after a step.
    c = 3.0
    weights = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1,)), weights])
    model.compile("sgd", lambda y, y_pred: c / 2 * keras.ops.square(y_pred))
    for step_sizes, saturated in (
        ([0.1, 0.2, 0.4], False),
        ([0.29, 0.4], False),
        ([0.31, 0.4], True),
        ([0.4, 0.31], True),
    ):
        r = probes.landscape(model, np.ones((2, 1)), np.ones((2, 1)), step_sizes)
        np.testing.assert_allclose(r.betas, c, rtol=1e-5)
        assert r.beta == max(r.betas)
        assert r.beta_step_size in step_sizes
        assert r.beta_over_range == pytest.approx(c, rel=1e-5)
        assert r.saturated is saturated


def test_beta_over_range_divides_by_the_largest_distance():
    model, (x, y) = example_models.bn_cnn()
    r = probes.landscape(model, x, y, STEP_SIZES)
    _, norm, _, distances, _ = reference.landscape(model, x, y, STEP_SIZES)
    np.testing.assert_allclose(r.betas, distances / (STEP_SIZES * norm), rtol=1e-4)
    expected = distances.max() / (STEP_SIZES.max() * norm)
    assert r.beta_over_range == pytest.approx(expected, rel=1e-4)
    assert r.beta_step_size == STEP_SIZES[np.argmax(r.betas)]


@pytest.mark.parametrize(
    ("step_sizes", "distances", "resolved", "expected"),
    [
        # Whether beta is a ceiling shows at the smallest step that is resolved.
        ([0.1, 0.2], [0.001, 2.0], [False, True], (5.0, 0.2, 5.0, True)),
        ([0.1, 0.2], [0.5, np.inf], [True, False], (2.5, 0.1, 2.5, False)),
        ([0.1, 0.2], [np.inf, np.nan], [False, False], (np.nan,) * 3 + (False,)),
        # The dry run, and the start of a warm-up.
        ([0.0, 0.0], [0.0, 0.0], [True, True], (np.nan,) * 3 + (False,)),
        ([0.0, 0.1], [0.0, 0.8], [True, True], (4.0, 0.1, 4.0, False)),
    ],
)
def test_smoothness_of_what_is_resolved(step_sizes, distances, resolved, expected):
    arrays = map(np.array, (step_sizes, distances, resolved))
    step_sizes, distances, resolved = arrays
    r = smoothness(step_sizes, (2.0, 2.0), distances, resolved)
    found = (r.beta, r.beta_step_size, r.beta_over_range, r.saturated)
    np.testing.assert_array_equal(found, expected)
    unknown = ~resolved | (step_sizes == 0)
    np.testing.assert_array_equal(np.isnan(r.betas), unknown)
    # Along a direction half as long as the gradient.
    half = smoothness(step_sizes, (2.0, 1.0), distances, resolved)
    np.testing.assert_array_equal(half.betas, 2 * r.betas)
    assert half.saturated is r.saturated


def test_a_loss_within_rounding_is_unresolved():
    # L(w) = w, so that L(w - s) = 1 - s.
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.compile("sgd", lambda y, y_pred: keras.ops.mean(y_pred, axis=-1))
    model.set_weights([np.ones((1, 1))])
    ones = np.ones((1, 1))
    sizes = np.array([2, 3, 4, 8, 2**20]) * np.finfo(np.float32).eps
    r = probes.landscape(model, ones, ones, sizes)
    np.testing.assert_array_equal(r.losses_resolved, [False, False, True, True, True])
    np.testing.assert_array_equal(r.losses, 1 - sizes)


def test_linear_loss_has_beta_zero():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", lambda y, y_pred: keras.ops.mean(y * y_pred, axis=-1))
    x = np.random.default_rng(0).normal(size=(8, 3))
    r = probes.landscape(model, x, np.ones((8, 1)), [0.1, 1.0])
    assert r.beta == 0.0


def test_zero_gradient_has_no_beta():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    x = np.zeros((4, 3))
    r = probes.landscape(model, x, np.zeros((4, 1)), [0.1, 1.0])
    assert r.gradient_norm == 0.0
    assert np.isnan(r.beta)


# A global list, because probes put back what a closure keeps.
calls = []


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="torch runs eagerly and traces nothing"
)
def test_traces_once_for_a_shape_and_not_for_step_sizes():
    class Counting(keras.layers.Dense):
        def call(self, inputs):
            calls.append(inputs.shape)
            return super().call(inputs)

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Counting(2)(inputs))
    model.compile("sgd", "mse")
    x, y = np.ones((8, 4)), np.ones((8, 2))
    probes.landscape(model, x, y, STEP_SIZES)
    probes.internal_covariate_shift(model, x, y, 0.1)
    calls.clear()
    for factor in (1.0, 0.5, 2.0):
        probes.landscape(model, x * factor, y, STEP_SIZES * factor)
        probes.internal_covariate_shift(model, x * factor, y, 0.1 * factor)
    assert not calls
    probes.landscape(model, x[:4], y[:4], STEP_SIZES)
    assert len(calls) == 1


def test_compiling_again_measures_the_new_loss():
    model, (x, y) = example_models.mlp()
    first = probes.landscape(model, x, y, STEP_SIZES)
    model.compile("sgd", lambda y, p: keras.ops.mean(keras.ops.square(p), axis=-1))
    assert probes.landscape(model, x, y, STEP_SIZES).loss != first.loss
    check_against_reference(model, (x, y))
    model.get_layer("dense1").trainable = False
    model.compile("sgd", "mse")
    check_against_reference(model, (x, np.ones((8, example_models.CLASSES))))


def test_keeps_no_model_alive():
    model, (x, y) = example_models.bn_cnn()
    probes.landscape(model, x, y, STEP_SIZES)
    probes.internal_covariate_shift(model, x, y, 0.1)
    probes.activations(model, x)
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


@pytest.mark.slow
def test_a_thousand_probes_do_not_grow_memory():
    model, (x, y) = example_models.bn_cnn()

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def probe(times):
        for _ in range(times):
            probes.landscape(model, x, y, STEP_SIZES)

    probe(200)
    before = peak()
    probe(1000)
    assert peak() - before < 20  # MiB


@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        "mixed_bfloat16",
        pytest.param("float64", marks=pytest.mark.tensorflow),
    ],
)
def test_other_precisions(policy):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        model, (x, y) = example_models.bn_cnn()
    finally:
        keras.config.set_dtype_policy("float32")
    r = probes.landscape(model, x, y, STEP_SIZES)
    loss, gradient_norm, losses, distances, _ = reference.landscape(
        model, x, y, STEP_SIZES
    )
    rtol = 1e-6 if policy == "float64" else 5e-2
    np.testing.assert_allclose(r.loss, loss, rtol=rtol)
    np.testing.assert_allclose(r.gradient_norm, gradient_norm, rtol=rtol)
    np.testing.assert_allclose(r.losses, losses, rtol=rtol)
    np.testing.assert_allclose(r.gradient_distances, distances, rtol=rtol)


def test_loss_scaling_keeps_small_float16_gradients():
    # Gradients of 1e-9 are zero in float16 without the scale of 2^15.
    keras.config.set_dtype_policy("mixed_float16")
    try:
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
        model.compile(
            "sgd", lambda y, y_pred: 1e-6 * keras.ops.mean(y * y_pred, axis=-1)
        )
    finally:
        keras.config.set_dtype_policy("float32")
    x = np.full((2, 4), 1e-2)
    r = probes.landscape(model, x, np.ones((2, 1)), [0.1])
    assert r.gradient_norm == pytest.approx(2e-8, rel=1e-2)


@pytest.mark.parametrize("step_sizes", [[1e30], [1e-3, 1e30], [1e-3, 0.1, 1e30]])
def test_a_distance_that_is_not_finite_is_not_resolved(step_sizes):
    # L = mean(w^4) has the gradient 4 w^3, which overflows after a long step.
    weights = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1,)), weights])
    model.compile("sgd", lambda y, y_pred: keras.ops.mean(y_pred**4, axis=-1))
    r = probes.landscape(model, np.ones((2, 1)), np.ones((2, 1)), step_sizes)
    assert not np.isfinite(r.gradient_distances[-1])
    assert not r.resolved[-1]
    if len(step_sizes) > 1:
        moved = 1 - 4 * 1e-3
        expected = (4 - 4 * moved**3) / (4 * 1e-3)
        assert r.beta == pytest.approx(expected, rel=1e-3)
    else:
        assert np.isnan(r.beta)


def test_non_finite_measurements_are_kept():
    model, (x, y) = example_models.deep_linear()
    r = probes.landscape(model, x * 1e15, y, [1e-3, 1.0])
    assert not np.isfinite(r.losses).all()
    assert not np.isfinite(r.beta)


@pytest.mark.parametrize(
    "step_sizes", [[], [0.1, -0.1], [0.0], [np.nan], [[0.1]], 0.1], ids=str
)
def test_rejects_step_sizes(step_sizes):
    model, (x, y) = example_models.mlp()
    with pytest.raises(ValueError, match="step_sizes must be"):
        probes.landscape(model, x, y, step_sizes)


def test_rejects_direction():
    model, (x, y) = example_models.mlp()
    with pytest.raises(ValueError, match="direction must be 'gradient', 'update' or"):
        probes.landscape(model, x, y, STEP_SIZES, direction="up")


def test_rejects_models_without_a_loss_or_weights():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    x, y = np.ones((8, 4)), np.ones((8, 2))
    with pytest.raises(ValueError, match="is not compiled"):
        probes.landscape(model, x, y, STEP_SIZES)
    model.trainable = False
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="no trainable weights"):
        probes.landscape(model, x, y, STEP_SIZES)


def test_rejects_batches_that_do_not_fit():
    model, (x, y) = example_models.mlp()
    with pytest.raises(ValueError, match="the same number of samples"):
        probes.landscape(model, x, y[:7], STEP_SIZES)
    with pytest.raises(ValueError, match="no samples"):
        probes.landscape(model, x[:0], y[:0], STEP_SIZES)
    with pytest.raises(ValueError, match="incompatible"):
        probes.landscape(model, x[:, :5], y, STEP_SIZES)


def test_filter_normalized_direction_has_the_proportions_of_the_weights():
    model, _ = example_models.bn_cnn()
    variables = model.trainable_variables
    drawn = directions.random_direction("filter_normalized_random", model, seed=0)
    assert reference.norm(drawn) == pytest.approx(1.0, rel=1e-5)
    ratios = []
    for array, variable in zip(drawn, variables, strict=True):
        if array.ndim == 1:
            assert not array.any()
            continue
        axes = tuple(range(array.ndim - 1))
        weights = variable.numpy()
        ratios.extend(
            np.linalg.norm(array.reshape(-1, array.shape[-1]), axis=0)
            / np.sqrt(np.sum(weights**2, axis=axes))
        )
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)


def test_rounding_unit_is_that_of_the_coarsest_floats():
    model, _ = example_models.mlp()
    assert rounding.rounding_unit(model) == np.finfo("float32").eps
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, _ = example_models.mlp()
    finally:
        keras.config.set_dtype_policy("float32")
    assert rounding.rounding_unit(model) == np.finfo("float16").eps
