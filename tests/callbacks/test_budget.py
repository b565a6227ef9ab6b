"""Measurements take the share of the training time that the user allows."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_bnsmooth as kb
from keras_bnsmooth.callbacks import stopwatch

X = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(200, 1))
COST = 3  # seconds of a measurement, where a training step takes one


class Clock(keras.callbacks.Callback):
    """A clock on which only training steps and measurements take time."""

    now = 0.0

    def on_train_batch_begin(self, batch, logs=None):
        Clock.now += 1


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: Clock.now)


class Slow(kb.ProbeCallback):
    needs_data = False

    def measure(self, step, batch):
        Clock.now += COST
        return {}


class SlowAfterUpdate(kb.UpdateProbe):
    needs_data = False

    def measure_update(self, step, batch, weights, next_weights, learning_rate):
        Clock.now += COST
        return {}


def train(probe, fits=1, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    for _ in range(fits):
        # The clock comes last: a step passes after the probe of its beginning.
        model.fit(X, Y, batch_size=1, verbose=0, callbacks=[probe, Clock()], **options)
    return [keras.ops.convert_to_numpy(v) for v in model.variables]


@pytest.mark.parametrize("probe", [Slow, SlowAfterUpdate])
def test_measurements_wait_until_their_time_has_accrued(probe):
    probe = probe(every=1, budget=0.1)
    train(probe)
    steps = probe.history["step"]
    # At once, then where (spent + COST / 2) is a tenth of the steps.
    expected = [0, 45, 75, 105, 135, 165, 195]
    np.testing.assert_allclose(steps, expected, atol=2)
    assert probe.overhead == pytest.approx(COST * len(steps) / 200, rel=0.02)


def test_an_expensive_measurement_is_made_once():
    probe = Slow(every=1, budget=0.001)
    train(probe)
    assert probe.history["step"].tolist() == [0]


def test_a_budget_that_is_not_reached_changes_nothing():
    probe, other = Slow(every=50, budget=0.5), Slow(every=50)
    train(probe)
    train(other)
    assert probe.history["step"].tolist() == other.history["step"].tolist()


def test_the_time_of_several_trainings_adds_up():
    probe = Slow(every=1, budget=0.1)
    train(probe, fits=2)
    assert len(probe.history["step"]) == 14 - 1
    assert probe.overhead == pytest.approx(0.1, rel=0.05)


def test_the_time_between_trainings_does_not_count():
    probe = Slow(every=1, budget=0.1)
    train(probe)
    overhead = probe.overhead
    Clock.now += 1e6
    assert probe.overhead == overhead
    probe.on_train_begin()
    probe.on_train_batch_begin(0)
    assert probe.overhead == overhead


def test_overhead_is_unknown_before_training():
    assert np.isnan(Slow(every=1).overhead)


@pytest.mark.parametrize("budget", [0, -0.1, np.nan, np.inf, True, "2%"])
def test_other_values_are_refused(budget):
    with pytest.raises(ValueError, match="budget must be a positive share"):
        Slow(every=1, budget=budget)


PROBES = [
    kb.LandscapeProbe,
    kb.ICSProbe,
    kb.ActivationProbe,
    kb.SharpnessProbe,
    kb.LayerScaleProbe,
    kb.GradientNoiseProbe,
    kb.SpectrumProbe,
]


@pytest.mark.parametrize("make", PROBES)
def test_every_probe_has_a_budget(make):
    with pytest.raises(ValueError, match="budget must be a positive share"):
        make((X, Y), every=1, budget=0)
