"""What is measured is what `fit` trains, or the probe says that it is not."""

import keras
import numpy as np
import pytest
from packaging import version

import keras_bnsmooth as kb

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype("float32")
Y = RNG.normal(size=(16, 2)).astype("float32")
RATE = 0.1

traced = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="nothing is traced there"
)


def build(**arguments):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="tanh", kernel_regularizer="l2", name="a"),
            keras.layers.BatchNormalization(center=False, scale=False, name="bn"),
            keras.layers.Dropout(0.1, seed=1, name="drop"),
            keras.layers.Lambda(lambda x: 2.0 * x, name="twice"),
            keras.layers.Dense(2, name="b"),
        ]
    )
    compile_again(model, **arguments)
    return model


def compile_again(model, **arguments):
    model.compile(keras.optimizers.SGD(RATE), "mse", **arguments)


def fit(model, *callbacks):
    history = model.fit(
        X, Y, batch_size=16, shuffle=False, verbose=0, callbacks=list(callbacks)
    )
    return history.history["loss"][0]


def freeze(name):
    def change(model):
        model.get_layer(name).trainable = False

    return change


def without_regularizer(model):
    model.get_layer("a").kernel.regularizer = None


def other_activation(model):
    model.get_layer("a").activation = keras.activations.relu


def other_function(model):
    model.get_layer("twice").function = lambda x: 3.0 * x


def other_rate(model):
    model.get_layer("drop").rate = 0.5


FROZEN = [freeze("a"), freeze("b"), freeze("bn")]
CHANGES = [
    *FROZEN,
    without_regularizer,
    other_activation,
    other_function,
    other_rate,
]


def check_measures_what_is_trained(model):
    weights = [np.array(v.numpy()) for v in model.variables]
    probe = kb.LandscapeProbe((X, Y), every=1)
    loss = fit(model, probe)
    assert probe.history["loss"][0] == pytest.approx(loss, rel=1e-5)
    moves = [
        v.numpy() - w
        for v, w in zip(model.variables, weights, strict=True)
        if "kernel" in v.path or "bias" in v.path
    ]
    moved = np.sqrt(sum(np.sum(move**2) for move in moves))
    assert probe.history["gradient_norm"][0] == pytest.approx(moved / RATE, rel=1e-4)


def check_is_refused(model, probe=None):
    steps = int(model.optimizer.iterations)
    probe = probe or kb.LandscapeProbe((X, Y), every=1, dry_run=False)
    with pytest.raises(ValueError, match=r"was changed after .* traced") as raised:
        fit(model, probe)
    assert "\n" not in str(raised.value)
    assert int(model.optimizer.iterations) == steps


@traced
@pytest.mark.parametrize("change", CHANGES)
def test_changes_that_fit_ignores_are_refused(change):
    """A probe took part in the first training, or was added after the change."""
    model = build()
    probe = kb.LandscapeProbe((X, Y), every=1)
    fit(model, probe)
    check_measures_what_is_trained(model)
    change(model)
    check_is_refused(model, probe)
    check_is_refused(model)
    check_is_refused(model, kb.ActivationProbe((X, Y), every=1))
    compile_again(model)
    check_measures_what_is_trained(model)


@traced
@pytest.mark.skipif(
    version.parse(keras.__version__) < version.parse("3.14"),
    reason="Keras does not remember what was trainable when it compiled",
)
@pytest.mark.parametrize("change", FROZEN)
def test_layers_frozen_after_a_training_without_probes_are_refused(change):
    model = build()
    fit(model)
    change(model)
    check_is_refused(model)
    compile_again(model)
    check_measures_what_is_trained(model)


@traced
def test_layers_that_are_unfrozen_are_refused():
    model = build()
    freeze("a")(model)
    compile_again(model)
    check_measures_what_is_trained(model)
    model.get_layer("a").trainable = True
    check_is_refused(model)
    compile_again(model)
    check_measures_what_is_trained(model)


@pytest.mark.parametrize("change", CHANGES)
def test_changes_before_the_first_step_are_measured(change):
    model = build()
    change(model)
    check_measures_what_is_trained(model)
    check_measures_what_is_trained(model)


@pytest.mark.parametrize("change", CHANGES)
def test_changes_to_a_model_that_runs_eagerly_are_measured(change):
    model = build(run_eagerly=True)
    fit(model)
    change(model)
    if change in FROZEN[:2] and keras.backend.backend() == "jax":
        return  # Keras itself stops
    check_measures_what_is_trained(model)


def test_the_byte_code_of_a_function_is_no_option(monkeypatch):
    """Python writes the same function in different bytes from time to time."""
    model = build()
    check_measures_what_is_trained(model)
    layer = model.get_layer("twice")
    config = layer.get_config()
    config["function"]["config"]["code"] = "other bytes"
    monkeypatch.setattr(type(layer), "get_config", lambda self: config)
    check_measures_what_is_trained(model)


def test_a_layer_that_cannot_be_saved_is_measured():
    """Keras looks for the source of a lambda, which need not exist."""
    model = build()
    model.get_layer("b").activation = eval("lambda x: 2.0 * x")
    check_measures_what_is_trained(model)
    check_measures_what_is_trained(model)


def test_a_change_back_is_no_change():
    model = build()
    check_measures_what_is_trained(model)
    model.get_layer("a").trainable = False
    model.get_layer("a").trainable = True
    check_measures_what_is_trained(model)
