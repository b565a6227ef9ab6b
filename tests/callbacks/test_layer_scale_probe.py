import keras
import numpy as np
import pytest

import keras_bnsmooth as kb
from keras_bnsmooth.records import json_lines
from tests.probes import reference

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = RNG.normal(size=(40, 2)).astype("float32")
BATCH = (X[:8], Y[:8])


def build(optimizer=None, **arguments):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, name="a"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Dense(2, name="b"),
        ]
    )
    model.compile(optimizer or keras.optimizers.SGD(0.1), "mse", **arguments)
    return model


def fit(model, callbacks, epochs=1):
    """Ten steps an epoch."""
    model.fit(
        X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks
    )


def norms(arrays):
    """Norms of the three layers, each of two variables."""
    return [reference.norm(arrays[i : i + 2]) for i in (0, 2, 4)]


def arrays(model):
    return [np.array(v.numpy()) for v in model.trainable_variables]


def test_each_row_is_that_of_the_update_made(tmp_path):
    probe = kb.LayerScaleProbe(every=3, log_dir=tmp_path)
    fit(build(), [probe])
    history = probe.history
    assert history["step"].tolist() == [0, 3, 6, 9]
    assert history["layers"][0].tolist() == ["a", "bn", "b"]
    np.testing.assert_allclose(history["learning_rate"], 0.1)
    # The same training, batch by batch.
    model = build()
    for step in range(10):
        rows = slice(4 * step, 4 * step + 4)
        before = arrays(model)
        if step % 3 == 0:
            _, g = reference.value_and_grad(model, before, X[rows], Y[rows])
            row = step // 3
            weights = norms(before)
            np.testing.assert_allclose(history["weight_norm"][row], weights, rtol=1e-5)
            np.testing.assert_allclose(
                history["gradient_norm"][row], norms(g), rtol=1e-3
            )
            np.testing.assert_allclose(
                history["update_ratio"][row],
                0.1 * np.array(norms(g)) / weights,
                rtol=1e-3,
            )
            np.testing.assert_allclose(
                history["effective_learning_rate"][row],
                [0.1 / np.sum(before[0] ** 2), np.nan, np.nan],
                rtol=1e-5,
            )
        model.train_on_batch(X[rows], Y[rows])
    rows = json_lines.read(tmp_path / "layer_scales.jsonl")
    np.testing.assert_allclose(rows[1]["update_ratio"], history["update_ratio"][1])


def test_adam_has_a_gradient_with_data_only():
    without = kb.LayerScaleProbe(every=4)
    data = kb.LayerScaleProbe(BATCH, every=4)
    seen = []

    class Reference(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch % 4 == 0:
                g = reference.value_and_grad(self.model, arrays(self.model), *BATCH)[1]
                seen.append(norms(g))

    fit(build(keras.optimizers.Adam(0.01)), [without, data, Reference()])
    assert np.isnan(without.history["gradient_norm"]).all()
    np.testing.assert_allclose(data.history["gradient_norm"], seen, rtol=1e-3)
    for quantity in ("weight_norm", "update_ratio", "effective_learning_rate"):
        np.testing.assert_array_equal(data.history[quantity], without.history[quantity])
    assert (data.history["update_ratio"][:, ::2] > 0).all()


def test_the_learning_rate_is_that_of_each_step():
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([4], [0.1, 0.01])
    probe = kb.LayerScaleProbe(every=5)
    fit(build(keras.optimizers.SGD(rate)), [probe])
    np.testing.assert_allclose(probe.history["learning_rate"], [0.1, 0.01])


def test_tensorboard_shows_what_is_known(tmp_path):
    probe = kb.LayerScaleProbe(every=[0])
    fit(build(keras.optimizers.Adam(0.01)), [probe])
    row = {name: values[0] for name, values in probe.history.items()}
    tags = set(probe.scalars(row))
    assert tags == {
        *(
            f"{name}/{layer}"
            for name in ("weight_norm", "update_ratio", "distance")
            for layer in ("a", "bn", "b")
        ),
        "effective_learning_rate/a",
        "total_distance",
    }
    titles = [chart.title for chart in probe.dashboard().charts]
    assert len(titles) == 5 and "Effective learning rate" in titles


class Stop(keras.callbacks.Callback):
    """Stops training before an update, as a crash would."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch, logs=None):
        if self.model.optimizer.iterations == self.step:
            raise RuntimeError


def test_distance_from_the_initial_weights_survives_a_restart(tmp_path):
    model = build(keras.optimizers.Adam(0.01))
    initial, distances, totals = arrays(model), [], []

    class Reference(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) in (3, 6, 15):
                moves = [
                    a - b for a, b in zip(arrays(self.model), initial, strict=True)
                ]
                distances.append(norms(moves))
                totals.append(reference.norm(moves))

    without = kb.LayerScaleProbe(every=[3, 6, 15])
    probe = kb.LayerScaleProbe(every=[3, 6, 15], log_dir=tmp_path)
    with pytest.raises(RuntimeError):
        fit(model, [Reference(), without, probe, Stop(8)])
    resumed = kb.LayerScaleProbe(every=[3, 6, 15], log_dir=tmp_path)
    fit(model, [Reference(), without, resumed], epochs=1)
    for probe in (resumed, without):
        assert probe.history["step"].tolist() == [3, 6, 15]
        np.testing.assert_allclose(probe.history["distance"], distances, rtol=1e-5)
        np.testing.assert_allclose(probe.history["total_distance"], totals, rtol=1e-5)
    # A new training starts at its own weights.
    model = build()
    again = kb.LayerScaleProbe(every=9, log_dir=tmp_path, overwrite=True)
    fit(model, [again])
    np.testing.assert_array_equal(again.history["distance"][0], 0)
    assert (again.history["distance"][1] > 0).all()


def test_initial_weights_that_are_lost_or_damaged(tmp_path):
    model, path = build(), tmp_path / "layer_scales_initial.npz"
    fit(model, [kb.LayerScaleProbe(every=5, log_dir=tmp_path)])
    whole = path.read_bytes()
    for damaged in (whole[:-9], b"", b"no archive"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"initial\.npz is damaged; delete"):
            fit(model, [kb.LayerScaleProbe(every=5, log_dir=tmp_path)])
    path.unlink()
    probe = kb.LayerScaleProbe(every=5, log_dir=tmp_path)
    fit(model, [probe])
    assert np.isfinite(probe.history["distance"][:2]).all()
    assert np.isnan(probe.history["distance"][2:]).all()
    assert "distance is not known" in probe.history["note"][-1]
    path.write_bytes(whole)
    other = build()
    other.layers[0].trainable = False
    other.compile("sgd", "mse")
    other.optimizer.iterations.assign(10)
    with pytest.raises(ValueError, match="as of another model; delete it"):
        fit(other, [kb.LayerScaleProbe(every=5, log_dir=tmp_path)])


def starts_with(probe, error, model=None):
    model = model or build()
    with pytest.raises(ValueError, match=error):
        fit(model, [probe])
    assert int(model.optimizer.iterations) == 0


def test_errors_at_the_start():
    model = build()
    model.trainable = False
    model.compile("sgd", "mse")
    starts_with(kb.LayerScaleProbe(every=5), "no trainable weights", model)
    starts_with(kb.LayerScaleProbe((X[:, :3], Y), every=5), "cannot measure")
    with pytest.raises(ValueError, match="pass data too"):
        kb.LayerScaleProbe(every=5, class_weight={0: 1.0})
    with pytest.raises(ValueError, match="data must be"):
        kb.LayerScaleProbe(3, every=5)
    for probe in (kb.LandscapeProbe, kb.ICSProbe, kb.ActivationProbe):
        with pytest.raises(ValueError, match="received NoneType"):
            probe(None, every=5)


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="Keras makes one step at a time"
)
def test_single_steps_are_needed():
    starts_with(
        kb.LayerScaleProbe(every=5),
        "LayerScaleProbe needs steps_per_execution=1",
        build(steps_per_execution=2),
    )


def test_a_probe_of_the_users_own_without_data():
    class StepProbe(kb.ProbeCallback):
        needs_data = False

        def measure(self, step, batch):
            assert batch is None
            return {"twice": 2 * step}

    probe = StepProbe(every=4)
    fit(build(), [probe])
    assert probe.history["twice"].tolist() == [0, 8, 16]
