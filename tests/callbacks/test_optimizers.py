"""Which step it is and what the learning rate is, however a model is updated."""

import warnings

import keras
import numpy as np
import pytest

import keras_bnsmooth as kb
from tests.probes import reference

RNG = np.random.default_rng(0)
X = RNG.normal(size=(320, 4)).astype("float32")
Y = RNG.normal(size=(320, 2)).astype("float32")
BATCH = (X[:8], Y[:8])

# A training step on JAX has the state of the compiled optimizer alone.
off_jax = pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="an optimizer without state on JAX"
)


def build(cls=keras.Sequential, optimizer=None, **arguments):
    keras.utils.set_random_seed(0)
    model = cls(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="tanh", name="a"),
            keras.layers.Dense(2, name="b"),
        ]
    )
    model.compile(optimizer or keras.optimizers.SGD(0.01), "mse", **arguments)
    return model


def fit(model, callbacks=(), batches=80, epochs=1):
    x, y = X[: 4 * batches], Y[: 4 * batches]
    model.fit(
        x,
        y,
        batch_size=4,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(v.numpy()) for v in variables]


def mse(model, x, y, sample_weight):
    return keras.ops.mean(keras.ops.square(y - model(x, training=True)))


def steps(probe):
    return probe.history["step"].tolist()


class FourUpdates(keras.Sequential):
    """Updates four times per batch, as PPO does."""

    def train_step(self, *arguments):
        for _ in range(4):
            if keras.backend.backend() == "jax":
                state, data = arguments
                logs, state = super().train_step(state, data)
                arguments = (state, data)
            else:
                logs = super().train_step(*arguments)
        return (logs, state) if keras.backend.backend() == "jax" else logs


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (8, list(range(0, 320, 8))),
        ([0, 9, 33, 70], [0, 12, 36, 72]),
        (3, list(range(0, 320, 4))),
        (kb.LogSpaced(3), [0, 4, 8, 12, 24, 48, 100, 216]),
    ],
)
def test_several_updates_per_batch(every, expected):
    options = {"every": every, "loss": mse}
    landscape = kb.LandscapeProbe(BATCH, **options)
    activations = kb.ActivationProbe(BATCH, every=every)
    fit(build(FourUpdates), [landscape, activations])
    assert steps(landscape) == steps(activations) == expected


@pytest.mark.parametrize("epochs", [[1, 1, 1], [3], [1, 2]])
def test_several_updates_per_batch_across_calls_of_fit(epochs):
    model = build(FourUpdates)
    probe = kb.LandscapeProbe(BATCH, every=[0, 9, 41, 50, 90], loss=mse)
    for several in epochs:
        fit(model, [probe], batches=10, epochs=several)
    # Ten batches of four updates: epochs begin at 0, 40 and 80.
    assert steps(probe) == [0, 12, 44, 52, 92]


def test_a_due_step_at_the_end_of_an_epoch_is_measured_when_the_next_fit_begins():
    model = build(FourUpdates)
    probe = kb.LandscapeProbe(BATCH, every=[0, 38], loss=mse)
    fit(model, [probe], batches=10)
    fit(model, [probe], batches=10)
    assert steps(probe) == [0, 40]


def test_update_probes_refuse_several_updates_per_step():
    with pytest.raises(ValueError, match="made 4 in one"):
        fit(build(FourUpdates), [kb.LayerScaleProbe(every=1)])


class OwnOptimizer(keras.Sequential):
    """Updates by an optimizer that `compile` knows nothing of."""

    def compile(self, optimizer, loss):
        super().compile(loss=loss)
        self.own = {"all": optimizer}

    def train_step(self, data):
        x, y = data
        variables = self.trainable_variables
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                loss = mse(self, x, y, None)
            self.own["all"].apply(tape.gradient(loss, variables), variables)
        else:
            import torch

            loss = mse(self, x, y, None)
            gradient = torch.autograd.grad(loss, [v.value for v in variables])
            with torch.no_grad():
                self.own["all"].apply(list(gradient), variables)
        return {"mse": loss}


@off_jax
def test_steps_are_those_of_an_optimizer_that_is_an_attribute():
    probe = kb.LandscapeProbe(BATCH, every=2, step_sizes=[0.1], loss=mse)
    scales = kb.LayerScaleProbe(every=3)
    model = build(OwnOptimizer)
    fit(model, [probe, scales], batches=8)
    assert steps(probe) == [0, 2, 4, 6]
    assert steps(scales) == [0, 3, 6]
    # The compiled optimizer, which makes no update, has another learning rate.
    assert np.isnan(probe.history["learning_rate"]).all()
    assert np.isnan(scales.history["effective_learning_rate"]).all()
    with pytest.raises(ValueError, match=r"no single learning rate; pass step_sizes="):
        fit(build(OwnOptimizer), [kb.LandscapeProbe(BATCH, every=2, loss=mse)])


@off_jax
def test_an_optimizer_that_nobody_can_find_is_named():
    class Hidden(OwnOptimizer):
        def compile(self, optimizer, loss):
            super().compile(optimizer, loss)
            self.own = lambda: None
            self.own.all = optimizer

        def train_step(self, data):
            self.own.all.apply(
                [keras.ops.zeros_like(v) for v in self.trainable_variables],
                self.trainable_variables,
            )
            return {"mse": 0.0}

    probe = kb.ActivationProbe(BATCH, every=2)
    with pytest.warns(UserWarning, match="no optimizer .* counted an update"):
        fit(build(Hidden), [probe], batches=8)


def multi_optimizer():
    optimizers = [keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.01)]
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(optimizers[0], {".*b/.*": optimizers[1]})
    )


def chosen_optimizer():
    sgd, adam = keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.01)
    return keras.optimizers.MultiOptimizer(
        lambda variable: adam if "b/" in variable.path else sgd
    )


has_multi_optimizer = pytest.mark.skipif(
    not hasattr(keras.optimizers, "MultiOptimizer"), reason="new in Keras 3.14"
)


@has_multi_optimizer
@pytest.mark.parametrize("optimizer", [multi_optimizer, chosen_optimizer])
def test_a_multi_optimizer_needs_step_sizes(optimizer):
    for probe, remedy in (
        (kb.LandscapeProbe(BATCH, every=2), "pass step_sizes="),
        (kb.ICSProbe(BATCH, every=2), "pass update='training'"),
        (
            kb.SharpnessProbe(BATCH, every=2, update="training"),
            "pass update='gradient_descent'",
        ),
    ):
        model = build(optimizer=optimizer())
        with pytest.raises(ValueError, match=f"no single learning rate; {remedy}") as e:
            fit(model, [probe])
        assert "\n" not in str(e.value)
        assert int(model.optimizer.iterations) == 0


@has_multi_optimizer
@pytest.mark.parametrize("optimizer", [multi_optimizer, chosen_optimizer])
def test_training_with_a_multi_optimizer_is_measured_and_the_same(optimizer):
    plain = build(optimizer=optimizer())
    fit(plain, batches=8)
    landscape = kb.LandscapeProbe(BATCH, every=3, step_sizes=[0.1, 0.2])
    probes = [
        landscape,
        kb.LandscapeProbe(BATCH, every=3, direction="update", name="update"),
        kb.ICSProbe(BATCH, every=3, update="training"),
        kb.SharpnessProbe(BATCH, every=3, iterations=2),
        kb.LayerScaleProbe(BATCH, every=3),
        kb.GradientNoiseProbe(BATCH, every=3, batches=2),
        kb.SpectrumProbe(BATCH, every=3, steps=3, draws=1),
    ]
    model = build(optimizer=optimizer())
    expected = reference.landscape(model, *BATCH, [0.1, 0.2])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(model, probes, batches=8)
    for value, other in zip(state(model), state(plain), strict=True):
        np.testing.assert_array_equal(value, other)
    assert [steps(probe) for probe in probes] == [[0, 3, 6]] * len(probes)
    assert landscape.history["loss"][0] == pytest.approx(expected[0], rel=1e-5)
    assert landscape.history["beta"][0] == pytest.approx(expected[-1], rel=1e-3)
    assert np.isnan(landscape.history["learning_rate"]).all()


@has_multi_optimizer
def test_updates_of_a_multi_optimizer_are_those_of_its_parts():
    class Moves(kb.UpdateProbe):
        needs_data = False

        def measure_update(self, step, batch, weights, next_weights, learning_rate):
            return {"moves": next_weights[2] - weights[2]}

    probe = Moves(every=1)
    fit(build(optimizer=multi_optimizer()), [probe], batches=1)
    # The first update of Adam is its learning rate in each weight.
    np.testing.assert_allclose(np.abs(probe.history["moves"][0]), 0.01, rtol=1e-3)


def adam():
    return keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)


def test_the_landscape_along_the_update_is_that_of_each_step():
    model, plain = build(optimizer=adam()), build(optimizer=adam())
    sizes = np.geomspace(0.5, 4.0, 8)  # steps of the optimizer, whatever its rate
    measured = []

    class Measure(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch % 4 == 2:
                r = kb.probes.landscape(self.model, *BATCH, sizes, direction="update")
                measured.append(r)

    probe = kb.LandscapeProbe(BATCH, every=[1, 3], direction="update")
    fit(model, [probe, Measure()], batches=8)
    fit(plain, batches=8)
    for value, other in zip(state(model), state(plain), strict=True):
        np.testing.assert_array_equal(value, other)
    assert steps(probe) == [1, 3]
    for row, r in enumerate(measured):
        for name, value in vars(r).items():
            np.testing.assert_array_equal(probe.history[name][row], value, name)
    assert (probe.history["direction_norm"] > 0).all()
    assert probe.dashboard().title == "Loss landscape along the optimizer's update"


def test_the_update_of_several_optimizers_is_refused_at_the_start():
    model = build(OwnOptimizer)
    probe = kb.LandscapeProbe(BATCH, every=2, direction="update", loss=mse)
    with pytest.raises(ValueError, match=r"one optimizer .* has 2 \("):
        fit(model, [probe])


class Broken(keras.optimizers.schedules.LearningRateSchedule):
    """NaN from step 4 on."""

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        return keras.ops.where(step < 4, 0.01, np.nan)


@pytest.mark.parametrize(
    "make", [kb.LandscapeProbe, kb.ICSProbe, kb.SharpnessProbe, kb.LayerScaleProbe]
)
def test_a_learning_rate_of_nan_is_said_once(make):
    probe = make(BATCH, every=2)
    model = build(optimizer=keras.optimizers.SGD(Broken()))
    with pytest.warns(UserWarning, match="is NaN at step") as caught:
        fit(model, [probe], batches=12)
    said = [str(w.message) for w in caught if "is NaN at step" in str(w.message)]
    assert len(said) == 1
    assert "NaN at step 4" in said[0]
