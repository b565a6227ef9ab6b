import keras
import numpy as np
import pytest

import keras_bnsmooth as kb
from keras_bnsmooth.records import json_lines
from tests.probes import example_models


def weights(model):
    return [np.array(v.numpy()) for v in model.trainable_variables]


def test_rows_are_what_the_functions_return_at_that_step(tmp_path):
    model, (x, y) = example_models.bn_cnn()
    probe = kb.SharpnessProbe((x, y), every=2, log_dir=tmp_path, tolerance=1e-3)
    expected = []

    class Measure(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch % 2 == 0:
                r = kb.probes.sharpness(self.model, x, y, tolerance=1e-3)
                critical = kb.probes.critical_learning_rate(self.model, x, y)
                expected.append((r, critical))

    model.fit(x, y, batch_size=2, verbose=0, callbacks=[probe, Measure()])
    history = probe.history
    np.testing.assert_array_equal(history["step"], [0, 2])
    for row, (r, critical) in enumerate(expected):
        for name, value in vars(r).items():
            if name in ("loss", "gradient_norm", "gradient_curvature"):
                np.testing.assert_allclose(history[name][row], value, rtol=1e-4)
        # Each measurement has its own random start.
        difference = abs(history["sharpness"][row] - r.sharpness)
        assert difference <= history["error_bound"][row] + r.error_bound
        np.testing.assert_allclose(
            history["critical_learning_rate"][row], critical, rtol=0.05
        )
    recorded = json_lines.read_columns(tmp_path / "sharpness.jsonl")
    assert recorded.keys() == history.keys()
    np.testing.assert_array_equal(recorded["sharpness"], history["sharpness"])


def test_the_critical_learning_rate_along_the_update_of_training():
    model, (x, y) = example_models.mlp()
    model.compile(keras.optimizers.Adam(0.01), model.loss)
    probe = kb.SharpnessProbe((x, y), every=[2], update="training")
    visited = []

    class Visit(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            visited.append(weights(self.model))

    model.fit(x, y, batch_size=2, verbose=0, callbacks=[probe, Visit()])
    before, after = visited[2:4]
    for variable, value in zip(model.trainable_variables, before, strict=True):
        variable.assign(value)
    update = [(a - b) / 0.01 for a, b in zip(before, after, strict=True)]
    expected = kb.probes.critical_learning_rate(model, x, y, direction=update)
    np.testing.assert_allclose(
        probe.history["critical_learning_rate"], [expected], rtol=0.05
    )
    r = kb.probes.sharpness(model, x, y)
    np.testing.assert_allclose(probe.history["loss"], [r.loss], rtol=1e-5)
    np.testing.assert_allclose(probe.history["sharpness"], [r.sharpness], rtol=0.02)


def test_full_batch_gradient_descent_reaches_the_edge_of_stability():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 1))
    hidden = [keras.layers.Dense(30, activation="tanh") for _ in range(2)]
    model = keras.Sequential([keras.Input((5,)), *hidden, keras.layers.Dense(1)])
    # The same on every backend.
    model.set_weights([0.15 * rng.normal(size=w.shape) for w in model.get_weights()])
    learning_rate = 0.1
    model.compile(keras.optimizers.SGD(learning_rate), "mse")
    probe = kb.SharpnessProbe((x, y), every=100)
    # Copies of the full batch, to take many steps in one epoch.
    x, y = np.tile(x, (500, 1)), np.tile(y, (500, 1))
    model.fit(x, y, batch_size=20, shuffle=False, verbose=0, callbacks=[probe])
    sharpness = probe.history["sharpness"]
    assert sharpness[0] < 0.7 * 2 / learning_rate
    np.testing.assert_allclose(sharpness[-1], 2 / learning_rate, rtol=0.05)


def test_tensorboard_scalars():
    probe = kb.SharpnessProbe((np.zeros((1, 1)), np.zeros(1)), every=1)
    row = {"step": 3, "learning_rate": 0.5, "sharpness": 7.0}
    assert probe.scalars(row) == {"learning_rate": 0.5, "sharpness": 7.0, "2/lr": 4.0}
    # At the start of a warm-up.
    assert "2/lr" not in probe.scalars({**row, "learning_rate": 0.0})


def test_no_learning_rate_no_update():
    model, (x, y) = example_models.mlp()
    model.compile(keras.optimizers.SGD(0.0), model.loss)
    probes = [
        kb.SharpnessProbe((x, y), every=1),
        kb.SharpnessProbe((x, y), every=1, update="training", name="update"),
    ]
    model.fit(x, y, batch_size=8, verbose=0, callbacks=probes)
    assert probes[0].history["critical_learning_rate"][0] > 0
    assert probes[1].history["critical_learning_rate"][0] == 0


class Doubling(keras.layers.Layer):
    def call(self, x):
        return x + keras.ops.stop_gradient(x)


def test_training_does_not_start_without_second_derivatives():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3), Doubling(), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    x, y = np.ones((4, 3)), np.zeros((4, 1))
    before = weights(model)
    with pytest.raises(ValueError, match="stops gradients") as raised:
        model.fit(x, y, verbose=0, callbacks=[kb.SharpnessProbe((x, y), every=1)])
    assert "\n" not in str(raised.value)
    for value, other in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"update": "adam"}, "update must be one of"),
        ({"iterations": 0}, "iterations must be a positive integer; received 0"),
        ({"tolerance": -1.0}, "tolerance must be"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        kb.SharpnessProbe((np.zeros(1), np.zeros(1)), every=1, **arguments)
