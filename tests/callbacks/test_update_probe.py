"""The update measured is the optimizer's, whatever else happens to the weights."""

import keras
import numpy as np
import pytest

from keras_bnsmooth import probes
from keras_bnsmooth.callbacks import ICSProbe, UpdateProbe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = RNG.normal(size=(40, 2)).astype("float32")
BATCH = (X[:8], Y[:8])
STEPS = 10  # an epoch of X in batches of 4


class WeightsProbe(UpdateProbe):
    """Records both ends of each update."""

    def measure_update(self, step, batch, weights, next_weights, learning_rate):
        return {
            "weights": np.concatenate([w.ravel() for w in weights]),
            "next_weights": np.concatenate([w.ravel() for w in next_weights]),
            "learning_rate": learning_rate,
        }


def build(optimizer=None, **arguments):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="tanh"),
            keras.layers.Dense(2),
        ]
    )
    model.compile(optimizer or keras.optimizers.SGD(0.1), "mse", **arguments)
    return model


def fit(model, callbacks, epochs=1):
    model.fit(
        X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks
    )


def flat(model):
    return np.concatenate([np.array(v.numpy()).ravel() for v in model.weights])


def trajectory(optimizer=None, steps=STEPS):
    """Weights before each of the steps and after the last, trained batch by batch."""
    model = build(optimizer)
    weights = [flat(model)]
    for step in range(steps):
        batch = slice(4 * (step % STEPS), 4 * (step % STEPS) + 4)
        model.train_on_batch(X[batch], Y[batch])
        weights.append(flat(model))
    return np.array(weights)


def check(probe, expected):
    """Compares all updates with a trajectory, which rounds as `fit` does."""
    history = probe.history
    np.testing.assert_array_equal(history["step"], np.arange(len(expected) - 1))
    np.testing.assert_allclose(history["weights"], expected[:-1], atol=1e-6)
    np.testing.assert_allclose(history["next_weights"], expected[1:], atol=1e-6)


def test_every_update_of_two_epochs():
    probe = WeightsProbe(BATCH, every=1)
    fit(build(), [probe], epochs=2)
    check(probe, trajectory(steps=2 * STEPS))


def test_an_average_restored_at_the_end_is_no_update():
    probe, model = WeightsProbe(BATCH, every=1), build(keras.optimizers.SGD(0.1))
    ema = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    model.compile(ema, "mse")
    fit(model, [probe])
    expected = trajectory()
    check(probe, expected)
    # Keras did replace the weights after the last step.
    assert np.abs(flat(model) - expected[-1]).max() > 0.01


@pytest.mark.parametrize("first", [True, False])
def test_weights_restored_by_early_stopping_are_no_update(first):
    probe = WeightsProbe(BATCH, every=1)
    # The loss of the first epoch is the best where smaller is worse.
    stopping = keras.callbacks.EarlyStopping(
        "loss", patience=0, mode="max", restore_best_weights=True
    )
    callbacks = [probe, stopping] if first else [stopping, probe]
    model = build()
    fit(model, callbacks, epochs=3)
    expected = trajectory(steps=2 * STEPS)
    check(probe, expected)
    np.testing.assert_allclose(flat(model), expected[STEPS], atol=1e-6)


class Meddler(keras.callbacks.Callback):
    """Changes the weights and the learning rate around every step."""

    def on_train_batch_begin(self, batch, logs=None):
        model = self.model
        model.set_weights([w + 1 for w in model.get_weights()])
        model.optimizer.learning_rate = 0.5

    def on_train_batch_end(self, batch, logs=None):
        model = self.model
        model.set_weights([w - 1 for w in model.get_weights()])
        model.optimizer.learning_rate = 0.1


@pytest.mark.parametrize("first", [True, False])
def test_other_callbacks_do_not_count_in_any_order(first):
    probe, model = WeightsProbe(BATCH, every=1), build()
    fit(model, [probe, Meddler()] if first else [Meddler(), probe])
    history = probe.history
    np.testing.assert_allclose(history["learning_rate"], 0.5)
    # Each step starts one above where the previous one ended, less one.
    np.testing.assert_allclose(
        history["weights"][1:], history["next_weights"][:-1], atol=1e-5
    )
    # The update is the gradient step at the weights that the meddler set.
    fresh = build(keras.optimizers.SGD(0.5))
    fresh.set_weights([w + 1 for w in fresh.get_weights()])
    np.testing.assert_allclose(history["weights"][0], flat(fresh), atol=1e-6)
    fresh.train_on_batch(X[:4], Y[:4])
    np.testing.assert_allclose(history["next_weights"][0], flat(fresh), atol=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_weights_swapped_for_their_average_are_no_update(first):
    """At the end of each epoch, for validation, and for good at the end."""
    probe = WeightsProbe(BATCH, every=1)
    model = build(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    fit(model, [probe, swap] if first else [swap, probe], epochs=2)
    check(probe, trajectory(steps=2 * STEPS))


class Weights(keras.callbacks.Callback):
    """Sets the weights to zero in one hook, once."""

    def __init__(self, hook, call):
        super().__init__()
        self.calls = 0

        def zero(*arguments, **logs):
            if self.calls == call:
                self.model.set_weights([0 * w for w in self.model.get_weights()])
            self.calls += 1

        setattr(self, hook, zero)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("hook", "call", "step"),
    [
        ("on_train_batch_begin", 3, 3),
        ("on_train_batch_end", 2, 3),
        ("on_epoch_begin", 1, STEPS),
        ("on_epoch_end", 0, STEPS),
        ("on_train_end", 0, None),
    ],
)
def test_weights_set_by_a_callback_are_no_update(hook, call, step, first):
    probe, zero = WeightsProbe(BATCH, every=1), Weights(hook, call)
    model = build()
    fit(model, [probe, zero] if first else [zero, probe], epochs=2)
    expected = trajectory(steps=2 * STEPS)[: step and step + 1]
    history = {name: rows[:step] for name, rows in probe.history.items()}
    np.testing.assert_allclose(history["weights"], expected[:-1], atol=1e-6)
    np.testing.assert_allclose(history["next_weights"], expected[1:], atol=1e-6)
    if step is None:
        np.testing.assert_array_equal(flat(model), 0)
    else:
        assert not probe.history["weights"][step].any()
        # The gradient at zero reaches the biases of the last layer alone.
        residual = Y[4 * (step % STEPS) :][:4].mean(axis=0)
        np.testing.assert_allclose(
            probe.history["next_weights"][step][-2:], 0.1 * residual, rtol=1e-4
        )


@pytest.mark.parametrize("first", [True, False])
def test_an_interrupted_run_that_is_restored_goes_on(first, tmp_path):
    class Interrupted(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise RuntimeError

    def callbacks(probe):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return [probe, backup] if first else [backup, probe]

    record = tmp_path / "record"
    stopped = WeightsProbe(BATCH, every=1, log_dir=record)
    with pytest.raises(RuntimeError):
        fit(build(), [*callbacks(stopped), Interrupted()], epochs=2)
    resumed = WeightsProbe(BATCH, every=1, log_dir=record)
    fit(build(), callbacks(resumed), epochs=2)
    check(resumed, trajectory(steps=2 * STEPS))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="takes minutes there")
@pytest.mark.parametrize("jit_compile", [True, False])
def test_however_the_training_step_is_compiled(jit_compile):
    probe = WeightsProbe(BATCH, every=1)
    fit(build(jit_compile=jit_compile), [probe])
    check(probe, trajectory())
    eager = WeightsProbe(BATCH, every=1)
    fit(build(run_eagerly=True), [eager])
    check(eager, trajectory())


def test_several_probes_see_the_same_update():
    several = [WeightsProbe(BATCH, every=n) for n in (1, 3, 3)]
    model = build()
    fit(model, several)
    check(several[0], trajectory())
    for probe in several[1:]:
        assert probe.history["step"].tolist() == [0, 3, 6, 9]
        np.testing.assert_array_equal(
            probe.history["next_weights"], several[0].history["next_weights"][::3]
        )


def test_train_on_batch_with_callbacks_called_by_hand():
    probe, model = WeightsProbe(BATCH, every=1), build()
    probe.set_model(model)
    probe.on_train_begin()
    for step in range(STEPS):
        probe.on_train_batch_begin(step)
        model.train_on_batch(X[4 * step : 4 * step + 4], Y[4 * step : 4 * step + 4])
        probe.on_train_batch_end(step)
    probe.on_train_end()
    check(probe, trajectory())


def test_gradient_accumulation_measures_the_update_when_it_is_made():
    def optimizer():
        return keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)

    probe = WeightsProbe(BATCH, every=1)
    fit(build(optimizer()), [probe])
    batches = trajectory(optimizer())
    np.testing.assert_array_equal(batches[:-1:2], batches[1::2])  # every other: none
    check(probe, batches[::2])


def test_an_update_of_zero_is_zero():
    probe = WeightsProbe(BATCH, every=5)
    fit(build(keras.optimizers.SGD(0.0)), [probe])
    np.testing.assert_array_equal(
        probe.history["weights"], probe.history["next_weights"]
    )
    assert probe.history["step"].tolist() == [0, 5]


def test_data_of_unknown_size():
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    data = data.filter(lambda x, y: True)
    probe = WeightsProbe(BATCH, every=1)
    build().fit(data, epochs=2, verbose=0, callbacks=[probe])
    # TensorFlow may count the end of the data of the first epoch as a step.
    expected = trajectory(steps=2 * STEPS)
    np.testing.assert_allclose(probe.history["weights"], expected[:-1], atol=1e-6)
    np.testing.assert_allclose(probe.history["next_weights"], expected[1:], atol=1e-6)


def test_an_interrupted_run_leaves_nothing_to_the_next():
    class Interrupted(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations == 4:
                raise RuntimeError

    probe, model = WeightsProbe(BATCH, every=2), build()
    with pytest.raises(RuntimeError):
        fit(model, [probe, Interrupted()])
    assert probe.history["step"].tolist() == [0, 2]
    fit(model, [probe])
    assert probe.history["step"].tolist() == [0, 2, 4, 6, 8, 10, 12]


def test_covariate_shift_by_the_update_of_training():
    probe = ICSProbe(BATCH, every=[STEPS - 1], update="training")
    model = build(keras.optimizers.SGD(0.1, use_ema=True))
    fit(model, [probe])
    expected = trajectory()
    shapes = [v.shape for v in model.trainable_variables]
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    before, after = (
        [w.reshape(s) for w, s in zip(np.split(row, ends), shapes, strict=True)]
        for row in expected[-2:]
    )
    r = probes.internal_covariate_shift(
        model, *BATCH, weights=before, next_weights=after
    )
    np.testing.assert_allclose(probe.history["l2"], [r.l2], rtol=1e-4)


class TwoUpdates(keras.Sequential):
    """Makes two updates per training step."""

    def train_step(self, *arguments):
        if keras.backend.backend() == "jax":
            state, data = arguments
            _, state = super().train_step(state, data)
            return super().train_step(state, data)
        super().train_step(*arguments)
        return super().train_step(*arguments)


def test_training_steps_of_several_updates_are_refused():
    model = TwoUpdates([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="made 2 in one"):
        fit(model, [WeightsProbe(BATCH, every=1)])


def test_updates_outside_of_training_steps_are_refused():
    probe, model = WeightsProbe(BATCH, every=1), build()
    probe.set_model(model)
    probe.on_train_begin()
    probe.on_train_batch_begin(0)
    model.optimizer.build(model.trainable_variables)
    model.optimizer.apply([v * 0 for v in model.trainable_variables])
    with pytest.raises(ValueError, match="did not see update 0"):
        probe.on_train_batch_begin(1)


def test_weights_overwritten_by_their_average_are_refused():
    def optimizer():
        return keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=1)

    for wrapped in (optimizer(), keras.optimizers.LossScaleOptimizer(optimizer())):
        model = build(wrapped)
        for probe in (
            WeightsProbe(BATCH, every=1),
            ICSProbe(BATCH, every=1, update="training"),
        ):
            with pytest.raises(ValueError, match="ema_overwrite_frequency=1"):
                fit(model, [probe])
    # Virtual steps do not depend on it.
    fit(build(optimizer()), [ICSProbe(BATCH, every=5)])
