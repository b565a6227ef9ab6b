import json
import random

import keras
import numpy as np
import pandas
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator,
)
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG

from keras_bnsmooth import probes
from keras_bnsmooth.callbacks import (
    ActivationProbe,
    ICSProbe,
    LandscapeProbe,
    LogSpaced,
    ProbeCallback,
)
from keras_bnsmooth.records import json_lines

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = RNG.normal(size=(40, 2)).astype("float32")
BATCH = (X[:8], Y[:8])
PROBES = (LandscapeProbe, ICSProbe, ActivationProbe)

several_steps_at_once = pytest.mark.skipif(
    keras.backend.backend() == "torch",
    reason="Keras on torch makes one step at a time",
)


def build(learning_rate=0.1, norm=False, **arguments):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4,)), keras.layers.Dense(5, activation="tanh", name="a")]
    if norm:
        layers.append(keras.layers.BatchNormalization(name="bn"))
    layers.append(keras.layers.Dense(2, name="b"))
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(learning_rate), "mse", **arguments)
    return model


def fit(model, callbacks, epochs=1, **arguments):
    """Ten steps an epoch."""
    arguments = {"shuffle": False, "verbose": 0, "batch_size": 4} | arguments
    model.fit(X, Y, epochs=epochs, callbacks=callbacks, **arguments)


def points(log_dir):
    """Steps of the points of TensorBoard's curves, by tag."""
    (folder,) = [path for path in log_dir.iterdir() if path.is_dir()]
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [event.step for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
        if tag != CONFIG_SUMMARY_TAG
    }


def steps(probe):
    return probe.history["step"].tolist()


def test_measures_before_the_update_of_the_step():
    measured = []

    class Reference(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            step = int(self.model.optimizer.iterations)
            if step % 4 == 0:
                r = probes.landscape(self.model, X + step, Y, [0.1, 0.2])
                measured.append((step, r.loss, r.beta))

    def batch(step):
        return X + step, Y

    probe = LandscapeProbe(batch, every=4, step_sizes=[0.1, 0.2])
    fit(build(), [Reference(), probe])
    expected = np.array(measured)
    np.testing.assert_array_equal(probe.history["step"], expected[:, 0])
    np.testing.assert_allclose(probe.history["loss"], expected[:, 1], rtol=1e-6)
    np.testing.assert_allclose(probe.history["beta"], expected[:, 2], rtol=1e-6)


def test_default_step_sizes_follow_the_learning_rate():
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([4], [0.1, 0.01])
    probe = LandscapeProbe(BATCH, every=5)
    fit(build(rate), [probe])
    np.testing.assert_allclose(
        probe.history["step_sizes"][:, [0, -1]], [[0.05, 0.4], [0.005, 0.04]], rtol=1e-5
    )
    assert probe.history["step_sizes"].shape == (2, 8)
    np.testing.assert_allclose(probe.history["learning_rate"], [0.1, 0.01])
    wide = LandscapeProbe(BATCH, every=5, multiples=[0.01, 30])
    fit(build(), [wide])
    np.testing.assert_allclose(wide.history["step_sizes"], [[0.001, 3.0]] * 2)


def test_learning_rate_of_zero_has_no_beta():
    landscape, shift = LandscapeProbe(BATCH, every=5), ICSProbe(BATCH, every=5)
    fit(build(0.0), [landscape, shift])
    assert np.isnan(landscape.history["beta"]).all()
    np.testing.assert_allclose(shift.history["cosine"], 1.0)


@pytest.mark.parametrize("probe", PROBES)
def test_epochs_and_calls_of_fit_count_on(probe):
    model, probe = build(), probe(BATCH, every=6)
    fit(model, [probe], epochs=2)
    assert steps(probe) == [0, 6, 12, 18]
    fit(model, [probe], epochs=4, initial_epoch=3)
    assert steps(probe) == [0, 6, 12, 18, 24]


@several_steps_at_once
def test_first_occasion_at_or_after_the_step_under_steps_per_execution():
    probe = LandscapeProbe(BATCH, every=4)
    # Ten steps an epoch in executions of 7 and 3: occasions at 0, 7, 10, 17, 20, 27.
    fit(build(steps_per_execution=7), [probe], epochs=3)
    assert steps(probe) == [0, 7, 10, 17, 20, 27]
    rare = LandscapeProbe(BATCH, every=[8, 21])
    fit(build(steps_per_execution=7), [rare], epochs=3)
    assert steps(rare) == [10, 27]


@pytest.mark.parametrize("probe", PROBES)
def test_compiling_again_starts_the_history_over(probe):
    callback, model = probe(BATCH, every=5), build()
    fit(model, [callback], epochs=2)
    assert steps(callback) == [0, 5, 10, 15]
    model.compile("sgd", "mse")
    fit(model, [callback])
    assert steps(callback) == [0, 5]
    # Also where only the first step is due.
    callback = probe(BATCH, every=[0])
    fit(model, [callback])
    assert callback.history == {}
    model.compile("sgd", "mse")
    fit(model, [callback])
    before = callback.history
    model.compile("sgd", "mse")
    fit(model, [callback])
    assert steps(callback) == [0]
    changed = [not np.array_equal(before[key], callback.history[key]) for key in before]
    assert any(changed)


@pytest.mark.parametrize("probe", PROBES)
def test_the_dry_run_is_made_once_per_compilation_or_never(probe, monkeypatch):
    checks = []

    def counting_check(self, batch):
        checks.append(self.step())

    monkeypatch.setattr(probe, "check", counting_check)
    callback, model = probe(BATCH, every=5), build()
    fit(model, [callback])
    fit(model, [callback])
    assert checks == [0]
    model.compile("sgd", "mse")
    fit(model, [callback])
    assert checks == [0, 0]
    fit(build(), [probe(BATCH, every=5, dry_run=False)])
    assert checks == [0, 0]


def test_a_probe_of_the_users_own(tmp_path):
    class OutputProbe(ProbeCallback):
        def measure(self, step, batch):
            x, y, sample_weight = batch
            assert y is not None and sample_weight is None
            outputs = keras.ops.convert_to_numpy(self.model(x, training=False))
            return {"mean": float(outputs.mean()), "shape": list(outputs.shape)}

    callback, model = (
        OutputProbe(BATCH, every=4, log_dir=tmp_path, name="mine"),
        build(),
    )
    expected = float(model.predict(BATCH[0], verbose=0).mean())
    fit(model, [callback])
    assert steps(callback) == [0, 4, 8]
    assert callback.history["mean"][0] == pytest.approx(expected, rel=1e-5)
    rows = json_lines.read(tmp_path / "mine.jsonl")
    assert [row["shape"] for row in rows] == [[8, 2]] * 3
    # By default TensorBoard shows every number of a row.
    assert points(tmp_path) == {"mean": [0, 4, 8]}


def test_log_spaced_and_listed_steps():
    listed, spaced = ICSProbe(BATCH, every=[9, 3]), ICSProbe(BATCH, every=LogSpaced(3))
    fit(build(), [listed, spaced], epochs=2)
    assert steps(listed) == [3, 9]
    assert steps(spaced) == [0, 1, 2, 5, 10]


@pytest.mark.parametrize("known_size", [True, False])
def test_data_of_unknown_size_are_not_probed_twice_at_the_end(known_size):
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    if not known_size:
        data = data.filter(lambda x, y: True)
    probe = LandscapeProbe(BATCH, every=5)
    build().fit(data, epochs=2, verbose=0, callbacks=[probe])
    assert len(set(steps(probe))) == len(steps(probe))
    assert steps(probe)[:4] == [0, 5, 10, 15]


def test_gradient_accumulation_counts_updates():
    model = build()
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model.compile(optimizer, "mse")
    probe = LandscapeProbe(BATCH, every=1)
    fit(model, [probe])
    assert steps(probe) == [0, 1, 2, 3, 4]


def test_update_of_training_is_the_virtual_step_of_gradient_descent():
    # SGD on the probe's own batch makes exactly the step of Definition 2.1.
    virtual = ICSProbe(BATCH, every=3)
    real = ICSProbe(BATCH, every=3, update="training")
    model = build(norm=True)
    model.fit(*BATCH, batch_size=8, epochs=10, verbose=0, callbacks=[virtual, real])
    assert steps(real) == steps(virtual) == [0, 3, 6, 9]
    assert real.history["layers"][0].tolist() == ["a", "bn", "b"]
    np.testing.assert_allclose(real.history["l2"], virtual.history["l2"], rtol=1e-3)
    np.testing.assert_allclose(
        real.history["cosine"], virtual.history["cosine"], rtol=1e-4
    )


def test_activations_are_summarized():
    probe = ActivationProbe(BATCH, every=[0], units=1, bins=16, layers=["a"])
    model = build()
    values = probes.activations(model, X[:8], layers=["a"], units=1)["a"]
    fit(model, [probe])
    history = probe.history
    assert history["layers"].tolist() == [["a"]]
    assert history["units"].tolist() == [[1]]
    np.testing.assert_allclose(history["mean"], [[values.mean()]], rtol=1e-5)
    np.testing.assert_allclose(history["variance"], [[values.var()]], rtol=1e-5)
    np.testing.assert_allclose(history["minimum"], [[values.min()]], rtol=1e-5)
    np.testing.assert_array_equal(
        history["counts"][0, 0], np.histogram(values, bins=16)[0]
    )


def test_successive_steps_follow_the_same_unit():
    probe = ActivationProbe(BATCH, every=4, successive=True)
    fit(build(), [probe])
    assert steps(probe) == [0, 1, 4, 5, 8, 9]
    assert len(np.unique(probe.history["units"], axis=0)) == 1


def shifted(step):
    """A batch that tells its step: the mean of every input is `step`."""
    return X[:8] - X[:8].mean(0) + step, Y[:8]


def input_means(probe):
    """The mean of what the probe's batches hold, measured at the identity layer."""
    return probe.history["mean"][:, 0].round(3).tolist()


def identity_model(**arguments):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Identity(name="same"),
            keras.layers.Dense(2, name="b"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse", **arguments)
    return model


def successive_probe(every, data=shifted, **arguments):
    return ActivationProbe(
        data, every=every, layers=["same"], successive=True, **arguments
    )


@pytest.mark.parametrize(
    ("every", "measured", "batches"),
    [
        (4, [0, 1, 4, 5, 8, 9], [0, 0, 4, 4, 8, 8]),
        (2, list(range(10)), [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]),
        # What is scheduled is measured once, on the earlier batch.
        (1, list(range(10)), [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]),
        ([3, 4, 9], [3, 4, 9], [3, 3, 9]),
    ],
)
def test_successive_steps_are_measured_on_the_same_batch(every, measured, batches):
    probe = successive_probe(every)
    fit(identity_model(), [probe])
    assert steps(probe) == measured
    assert probe.history["batch_step"].tolist() == batches
    assert input_means(probe) == batches


def test_without_successive_each_step_has_its_own_batch():
    probe = ActivationProbe(shifted, every=3, layers=["same"])
    fit(identity_model(), [probe])
    assert probe.history["batch_step"].tolist() == steps(probe) == [0, 3, 6, 9]
    assert input_means(probe) == steps(probe)


@several_steps_at_once
def test_a_successive_measurement_is_made_at_the_next_opportunity():
    probe = successive_probe(8)
    # Opportunities at 0, 7, 10, 17, 20, 27; step 24 is due at 27.
    fit(identity_model(steps_per_execution=7), [probe], epochs=3)
    assert steps(probe) == [0, 7, 10, 17, 27]
    assert probe.history["batch_step"].tolist() == [0, 0, 10, 10, 27]
    assert input_means(probe) == [0, 0, 10, 10, 27]


@pytest.mark.parametrize("data", ["function", "cycle"])
@pytest.mark.parametrize("same_probe", [True, False])
def test_training_stops_between_two_successive_steps(data, same_probe, tmp_path):
    """An epoch ends after step 9; step 10 is to be measured on the batch of step 9."""
    if data == "cycle":

        class Stream:
            def __iter__(self):
                return map(shifted, range(0, 100, 9))

        source = Stream()
    else:
        source = shifted
    log_dir = tmp_path if not same_probe else None
    model = identity_model()
    probe = successive_probe(9, source, log_dir=log_dir)
    fit(model, [probe])
    assert steps(probe) == [0, 1, 9]
    if not same_probe:
        probe = successive_probe(9, source, log_dir=log_dir)
    fit(model, [probe], epochs=2, initial_epoch=1)
    if data == "cycle" and not same_probe:
        # The batch of step 9 cannot be had again.
        assert steps(probe) == [0, 1, 9, 18, 19]
        assert probe.history["batch_step"].tolist() == [0, 0, 9, 18, 18]
    else:
        assert steps(probe) == [0, 1, 9, 10, 18, 19]
        assert probe.history["batch_step"].tolist() == [0, 0, 9, 9, 18, 18]
        assert input_means(probe) == [0, 0, 9, 9, 18, 18]


def test_a_step_long_after_its_partner_is_not_measured_on_its_batch():
    model, probe = identity_model(), successive_probe(9)
    fit(model, [probe])
    fit(model, [], epochs=2, initial_epoch=1)
    fit(model, [probe], epochs=3, initial_epoch=2)
    assert steps(probe) == [0, 1, 9, 27, 28]
    assert probe.history["batch_step"].tolist() == [0, 0, 9, 27, 27]


def test_class_weights_are_those_of_fit():
    labels = np.arange(40) % 3
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    class_weight = {0: 3.0, 1: 0.5, 2: 0.0}
    probe = LandscapeProbe((X, labels), every=[0], class_weight=class_weight)
    history = model.fit(
        X,
        labels,
        batch_size=40,
        class_weight=class_weight,
        verbose=0,
        callbacks=[probe],
    )
    assert probe.history["loss"][0] == pytest.approx(history.history["loss"][0])


def test_record_is_readable_with_nan_and_infinity(tmp_path):
    probe = LandscapeProbe(
        lambda step: (X, Y * (1e25 if step == 5 else 1)), every=5, log_dir=tmp_path
    )
    fit(build(), [probe])
    (first, second) = json_lines.read(tmp_path / "landscape.jsonl")
    assert np.isfinite(first["beta"]) and not np.isfinite(second["beta"])
    frame = pandas.read_json(tmp_path / "landscape.jsonl", lines=True)
    assert frame["step"].tolist() == [0, 5]
    assert not np.isfinite(frame["beta"].astype(float)[1])
    for line in (tmp_path / "landscape.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    np.testing.assert_allclose(first["losses"], probe.history["losses"][0])


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(
    "steps_per_execution", [1, pytest.param(7, marks=several_steps_at_once)]
)
def test_a_run_that_goes_on_has_the_record_of_one_that_never_stopped(
    probe, steps_per_execution, tmp_path
):
    def run(log_dir, epochs, model=None, **arguments):
        model = model or build(steps_per_execution=steps_per_execution)
        callback = probe(lambda step: (X + step / 10, Y), every=3, log_dir=log_dir)
        fit(model, [callback], epochs=epochs, **arguments)
        return model, callback

    _, whole = run(tmp_path / "whole", epochs=3)
    model, _ = run(tmp_path / "stopped", epochs=1)
    variables = [*model.variables, *model.optimizer.variables]
    checkpoint = [np.array(v.numpy()) for v in variables]
    run(tmp_path / "stopped", epochs=2, model=model, initial_epoch=1)
    # Killed here; what was recorded after the checkpoint is recorded again.
    again = build(steps_per_execution=steps_per_execution)
    again.optimizer.build(again.trainable_variables)
    variables = [*again.variables, *again.optimizer.variables]
    for variable, value in zip(variables, checkpoint, strict=True):
        variable.assign(value)
    _, resumed = run(tmp_path / "stopped", epochs=3, model=again, initial_epoch=1)
    (name,) = [path.name for path in (tmp_path / "whole").glob("*.jsonl")]
    rows = json_lines.read(tmp_path / "whole" / name)
    assert json_lines.read(tmp_path / "stopped" / name) == rows
    assert steps(resumed) == steps(whole)
    assert points(tmp_path / "stopped") == points(tmp_path / "whole")


def test_another_run_in_the_same_directory_is_not_overwritten(tmp_path):
    fit(build(), [LandscapeProbe(BATCH, every=5, log_dir=tmp_path)])
    before = (tmp_path / "landscape.jsonl").read_text()
    with pytest.raises(ValueError, match="already holds a run up to step 5"):
        fit(build(), [LandscapeProbe(BATCH, every=5, log_dir=tmp_path)])
    assert (tmp_path / "landscape.jsonl").read_text() == before


@pytest.mark.parametrize("make", PROBES, ids=lambda make: make.__name__)
def test_another_run_is_overwritten_on_request(tmp_path, make):
    fit(build(), [make(BATCH, every=2, log_dir=tmp_path)], epochs=2)
    probe = make(BATCH, every=3, log_dir=tmp_path, overwrite=True)
    fit(build(), [probe])
    (name,) = [path.name for path in tmp_path.glob("*.jsonl")]
    recorded = [row["step"] for row in json_lines.read(tmp_path / name)]
    assert recorded == steps(probe)
    assert all(shown == recorded for shown in points(tmp_path).values())


def test_a_first_row_that_another_model_left_is_measured_again(tmp_path):
    other = LandscapeProbe(BATCH, every=[0], log_dir=tmp_path)
    fit(build(norm=True), [other])
    probe = LandscapeProbe(BATCH, every=[0], log_dir=tmp_path)
    fit(build(), [probe])
    assert probe.history["loss"] != other.history["loss"]
    (row,) = json_lines.read(tmp_path / "landscape.jsonl")
    assert row["loss"] == probe.history["loss"][0]


def test_two_records_in_one_directory(tmp_path):
    fit(
        build(),
        [
            LandscapeProbe(BATCH, every=5, log_dir=tmp_path),
            LandscapeProbe(
                BATCH, every=5, log_dir=tmp_path, direction="random", name="random"
            ),
        ],
    )
    losses = [
        json_lines.read(tmp_path / f"{name}.jsonl")[1]["losses"]
        for name in ("landscape", "random")
    ]
    assert losses[0] != losses[1]


class NoBatches:
    def __iter__(self):
        return iter(())


def starts_with(callback, error, model=None):
    """Training must stop before its first step, with one line."""
    model = model or build()
    with pytest.raises(ValueError, match=error) as raised:
        fit(model, [callback])
    assert int(model.optimizer.iterations) == 0
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("probe", PROBES)
def test_batches_that_do_not_fit_are_named_at_the_start(probe):
    name = probe.__name__
    starts_with(probe((X[:, :3], Y), every=5), f"{name} cannot measure .*incompatible")
    starts_with(probe((X[:5], Y[:4]), every=5), "the same number of samples")
    starts_with(probe(lambda step: (X, Y, Y, Y), every=5), "expected to be in format")
    starts_with(probe(NoBatches(), every=5), "no batch")


@pytest.mark.parametrize("probe", [LandscapeProbe, ICSProbe])
def test_targets_that_do_not_fit_are_named_at_the_start(probe):
    starts_with(probe((X, np.ones((40, 3))), every=5), "cannot measure")


@pytest.mark.parametrize("probe", [LandscapeProbe, ICSProbe])
def test_models_without_trainable_weights_are_named_at_the_start(probe):
    model = build()
    model.trainable = False
    model.compile("sgd", "mse")
    starts_with(probe(BATCH, every=5), "no trainable weights", model)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="a compiled function of JAX cannot differ"
)
@pytest.mark.parametrize("probe", PROBES)
def test_models_that_are_not_deterministic_are_named_at_the_start(probe):
    # Its numbers cannot be replayed.
    generator = random.SystemRandom()

    class Noise(keras.layers.Layer):
        def call(self, x):
            if keras.backend.backend() == "torch":
                return x * generator.random()
            import tensorflow as tf

            factor = tf.numpy_function(lambda: generator.random(), [], tf.float64)
            return x * tf.cast(tf.reshape(factor, (1, 1)), x.dtype)

    outputs = keras.layers.Dense(2, name="b")
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4), Noise(), outputs]
    )
    model.compile("sgd", "mse")
    starts_with(probe(BATCH, every=5), "changed between two evaluations", model)


def test_arguments_are_checked_in_the_constructor():
    for probe in PROBES:
        with pytest.raises(ValueError, match="every must be"):
            probe(BATCH, every=0)
        with pytest.raises(ValueError, match="data must be"):
            probe(3, every=1)
    with pytest.raises(ValueError, match="step_sizes must be"):
        LandscapeProbe(BATCH, every=1, step_sizes=[])
    with pytest.raises(ValueError, match="multiples must be"):
        LandscapeProbe(BATCH, every=1, multiples=[-1.0])
    with pytest.raises(ValueError, match="either step_sizes or multiples"):
        LandscapeProbe(BATCH, every=1, step_sizes=[0.1], multiples=[1.0])
    with pytest.raises(ValueError, match="direction must be"):
        LandscapeProbe(BATCH, every=1, direction="up")
    with pytest.raises(ValueError, match="update must be"):
        ICSProbe(BATCH, every=1, update="real")
    with pytest.raises(ValueError, match="bins must be"):
        ActivationProbe(BATCH, every=1, bins=0)


def test_more_errors_at_the_start():
    starts_with(ActivationProbe(BATCH, every=5, layers=["c"]), "no layer 'c'")
    starts_with(ActivationProbe(BATCH, every=5, units=9), "has units 0 to 4")


def test_a_direction_that_cannot_be_drawn_is_named_at_the_start():
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    model.compile("sgd", lambda y, z: keras.ops.mean(keras.ops.square(z), axis=-1))
    probe = LandscapeProbe(BATCH, every=5, direction="filter_normalized_random")
    starts_with(probe, "needs weights of two or more dimensions", model)


@several_steps_at_once
def test_the_update_of_training_needs_one_step_at_a_time():
    starts_with(
        ICSProbe(BATCH, every=5, update="training"),
        "needs steps_per_execution=1",
        build(steps_per_execution=2),
    )


def test_an_error_in_the_middle_names_the_step():
    def batch(step):
        return (X[:, :3], Y) if step == 6 else BATCH

    with pytest.raises(ValueError) as raised:
        fit(build(), [LandscapeProbe(batch, every=3)])
    assert raised.value.__notes__[-1] == "LandscapeProbe was measuring step 6."


def test_a_callback_follows_one_model():
    probe = LandscapeProbe(BATCH, every=5)
    fit(build(), [probe])
    with pytest.raises(ValueError, match="already attached to another model"):
        fit(build(), [probe])


def test_no_history_before_the_first_probe():
    assert LandscapeProbe(BATCH, every=5).history == {}


@pytest.mark.parametrize("make", PROBES)
def test_the_step_is_read_only_where_a_probe_may_be_due(make, monkeypatch):
    reads = []
    step = make.step
    monkeypatch.setattr(make, "step", lambda self: reads.append(1) or step(self))
    model = build()
    probe = make(BATCH, every=25)
    fit(model, [probe], epochs=6)
    assert steps(probe) == [0, 25, 50]
    # Once before training, at the start of each epoch, and at each probe.
    assert len(reads) <= 1 + 6 + 3
