import importlib

import keras
import numpy as np
import pytest

from keras_bnsmooth import probes
from keras_bnsmooth.probes.layer_list import weight_layers
from tests.probes import example_models, reference


def split(batch):
    return batch if len(batch) == 3 else (*batch, None)


@pytest.mark.parametrize(
    "build",
    example_models.PAPER + example_models.KINDS,
    ids=lambda build: build.__name__,
)
def test_equals_setting_weights_one_layer_at_a_time(build):
    check_against_reference(*build())


@pytest.mark.parametrize(
    "build",
    [example_models.noisy_bn_cnn, example_models.two_inputs],
    ids=lambda build: build.__name__,
)
def test_equals_setting_weights_one_layer_at_a_time_with_xla(build):
    check_against_reference(*build(jit_compile=True))


@pytest.mark.parametrize("build", [example_models.bn_cnn, example_models.noisy_bn_cnn])
def test_gamma_and_beta_can_belong_to_the_layer_before(build):
    model, batch = build()
    apart = [layer.name for layer in weight_layers(model)]
    joined = check_against_reference(model, batch, join_normalizations=True).layers
    assert 0 < len(joined) < len(apart)
    assert joined == [name for name in apart if name in joined]
    assert not any("norm" in name for name in joined)


@pytest.mark.parametrize("path", ["one graph", "many layers"])
def test_chosen_layers_have_the_shift_that_they_have_among_all(path, monkeypatch):
    module = importlib.import_module("keras_bnsmooth.probes.internal_covariate_shift")
    model, (x, y) = example_models.bn_cnn()
    whole = probes.internal_covariate_shift(model, x, y, 0.1)
    if path == "many layers":
        monkeypatch.setattr(module, "_MANY_LAYERS", 0)
    names = whole.layers
    for layers, expected in (
        ([names[3], names[1]], [1, 3]),
        (2, [round((len(names) - 1) / 2), len(names) - 1]),
        (1, [len(names) - 1]),
        (1000, range(len(names))),
    ):
        r = probes.internal_covariate_shift(model, x, y, 0.1, layers=layers)
        assert r.layers == [names[i] for i in expected]
        np.testing.assert_allclose(r.l2, whole.l2[expected], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(r.cosine, whole.cosine[expected], atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("conv", "list of names"),
        (0, "list of names"),
        ([], "list of names"),
        ([3], "list of names"),
        (["nowhere"], "no layer nowhere with weights; layers with weights are "),
    ],
)
def test_wrong_layers_are_refused(layers, message):
    model, (x, y) = example_models.mlp()
    with pytest.raises(ValueError, match=message):
        probes.internal_covariate_shift(model, x, y, 0.1, layers=layers)


def check_against_reference(model, batch, join_normalizations=False):
    x, y, sample_weight = split(batch)
    groups = [layer.positions for layer in weight_layers(model, join_normalizations)]
    l2, cosine = reference.internal_covariate_shift(
        model, groups, x, y, 0.1, sample_weight
    )
    r = probes.internal_covariate_shift(
        model,
        x,
        y,
        0.1,
        sample_weight=sample_weight,
        join_normalizations=join_normalizations,
    )
    np.testing.assert_allclose(r.l2, l2, rtol=1e-4, atol=1e-6 * l2.max())
    np.testing.assert_allclose(r.cosine, cosine, rtol=1e-4, atol=1e-6)
    return r


def test_two_layer_linear_network_by_hand():
    # L = mean over samples and outputs of (x A B - y)^2.
    dtype = "float64" if keras.backend.backend() == "tensorflow" else "float32"
    rng = np.random.default_rng(0)
    # Quarters, since arrays are rounded to floatx.
    x, y = rng.integers(-5, 5, (10, 3)) / 4, rng.integers(-5, 5, (10, 2)) / 4
    model = keras.Sequential(
        [
            keras.Input((3,), dtype=dtype),
            keras.layers.Dense(4, use_bias=False, dtype=dtype, name="a"),
            keras.layers.Dense(2, use_bias=False, dtype=dtype, name="b"),
        ]
    )
    model.compile("sgd", keras.losses.MeanSquaredError(dtype=dtype))
    a, b = model.get_weights()

    def gradients(a, b):
        residual = 2 * (x @ a @ b - y) / y.size
        return x.T @ residual @ b.T, (x @ a).T @ residual

    learning_rate = 0.3
    g_a, g_b = gradients(a, b)
    # Nothing lies before a; a lies before b.
    _, g_b_moved = gradients(a - learning_rate * g_a, b)
    r = probes.internal_covariate_shift(model, x, y, learning_rate)
    assert r.layers == ["a", "b"]
    l2 = [0.0, np.linalg.norm(g_b - g_b_moved)]
    cosine = np.sum(g_b * g_b_moved) / np.linalg.norm(g_b) / np.linalg.norm(g_b_moved)
    rtol = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(r.l2, l2, rtol=rtol)
    np.testing.assert_allclose(r.cosine, [1.0, cosine], rtol=rtol)


def test_given_weights_equal_the_virtual_step():
    model, (x, y) = example_models.bn_cnn()
    expected = probes.internal_covariate_shift(model, x, y, 0.1)
    weights = [np.array(v.numpy()) for v in model.trainable_variables]
    _, g = reference.value_and_grad(model, weights, x, y)
    next_weights = [w - 0.1 * d for w, d in zip(weights, g, strict=True)]
    r = probes.internal_covariate_shift(model, x, y, next_weights=next_weights)
    np.testing.assert_allclose(r.l2, expected.l2, rtol=1e-3)
    # From the far end of the step, as after training made it.
    for variable, value in zip(model.trainable_variables, next_weights, strict=True):
        variable.assign(value)
    r = probes.internal_covariate_shift(
        model, x, y, weights=weights, next_weights=model.trainable_variables
    )
    np.testing.assert_allclose(r.l2, expected.l2, rtol=1e-3)
    np.testing.assert_allclose(r.cosine, expected.cosine, rtol=1e-3)


@pytest.mark.parametrize("build", [example_models.bn_cnn, example_models.deep_linear])
def test_xla_gives_the_same_numbers(build):
    model, (x, y) = build()
    plain = probes.internal_covariate_shift(model, x, y, 0.1)
    model.compile(model.optimizer, model.loss, jit_compile=True)
    compiled = probes.internal_covariate_shift(model, x, y, 0.1)
    np.testing.assert_allclose(compiled.l2, plain.l2, rtol=1e-4)
    np.testing.assert_allclose(compiled.cosine, plain.cosine, rtol=1e-4, atol=1e-6)


def test_zero_gradient_has_no_cosine():
    model, (x, y) = example_models.unconnected()
    r = probes.internal_covariate_shift(model, x, y, 0.1)
    cosine = dict(zip(r.layers, r.cosine, strict=True))
    assert np.isnan(cosine["idle"])


def names(build):
    return [layer.name for layer in weight_layers(build()[0])]


def test_layers_are_those_that_own_trainable_weights():
    assert names(example_models.bn_cnn) == [
        "conv1",
        "norm1",
        "conv2",
        "norm2",
        "logits",
    ]
    assert names(example_models.frozen) == ["dense2"]
    assert names(example_models.shared)[:2] == ["shared", "between"]


def test_nested_models_are_flattened_in_place():
    stem, inner, norm, other, head = names(example_models.nested)
    assert (stem, head) == ("stem", "head")
    assert norm.startswith("batch_normalization")
    assert inner != other


def test_a_model_that_owns_weights_comes_first():
    model, _ = example_models.subclassed()
    assert weight_layers(model)[0].name == model.name


def test_names_that_occur_twice_become_paths():
    def block(name):
        return keras.Sequential([keras.layers.Dense(2, name="dense")], name=name)

    model = keras.Sequential([keras.Input((2,)), block("left"), block("right")])
    assert [layer.name for layer in weight_layers(model)] == [
        "left/dense",
        "right/dense",
    ]


@pytest.mark.parametrize("learning_rate", [0.0, -1.0, np.nan, np.inf])
def test_rejects_learning_rate(learning_rate):
    model, (x, y) = example_models.mlp()
    with pytest.raises(ValueError, match="learning_rate must be positive"):
        probes.internal_covariate_shift(model, x, y, learning_rate)


def test_rejects_a_step_given_twice_or_not_at_all():
    model, (x, y) = example_models.mlp()
    with pytest.raises(ValueError, match="either learning_rate or next_weights"):
        probes.internal_covariate_shift(model, x, y)
    with pytest.raises(ValueError, match="either learning_rate or next_weights"):
        probes.internal_covariate_shift(
            model, x, y, 0.1, next_weights=model.get_weights()
        )


def test_rejects_weights_of_other_shapes():
    model, (x, y) = example_models.mlp()
    with pytest.raises(ValueError, match="next_weights must hold one array"):
        probes.internal_covariate_shift(
            model, x, y, next_weights=model.get_weights()[:2]
        )
