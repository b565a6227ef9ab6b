"""The direction is the step that the optimizer makes, and asking changes nothing."""

import keras
import numpy as np
import pytest
from keras import optimizers

from keras_bnsmooth import probes
from keras_bnsmooth.probes.arguments import to_tensors
from keras_bnsmooth.probes.directions import random_direction, update_direction
from tests.probes import example_models, reference
from tests.probes.small_models import flat

OPTIMIZERS = {
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "lion": lambda: optimizers.Lion(0.01, weight_decay=0.1),
    "clipped": lambda: optimizers.Adam(0.01, global_clipnorm=0.1),
    "schedule": lambda: optimizers.Adam(
        optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    ),
    "average": lambda: optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=4),
    "accumulated": lambda: optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "scaled": lambda: optimizers.LossScaleOptimizer(
        optimizers.Adam(0.01, gradient_accumulation_steps=2), dynamic_growth_steps=2
    ),
}


def trained(optimizer, steps=3, build=example_models.bn_cnn, **arguments):
    """A model whose optimizer has some state."""
    keras.utils.set_random_seed(0)
    model, batch = build()
    model.compile(optimizer(), model.loss, **arguments)
    for _ in range(steps):
        model.train_on_batch(*batch)
    return model, batch


def values(variables):
    return [np.array(v.numpy()) for v in variables]


def everything(model):
    return values([*model.variables, *model.optimizer.variables])


def moved_by(model, move):
    """Returns W - W', as one vector, where `move` turns W into W'."""
    before = flat(values(model.trainable_variables))
    move()
    return before - flat(values(model.trainable_variables))


def apply(model, batch):
    """Calls `optimizer.apply` with the gradient of plain differentiation."""
    weights = values(model.trainable_variables)
    _, gradient = reference.value_and_grad(model, weights, *batch)
    scale = float(model.optimizer.scale_loss(keras.ops.ones(())))
    gradient = [keras.ops.convert_to_tensor(scale * g, "float32") for g in gradient]
    if keras.backend.backend() != "jax":
        model.optimizer.apply(gradient, model.trainable_variables)
        return
    kinds = model.optimizer.variables, model.trainable_variables
    state, weights = ([v.value for v in kind] for kind in kinds)
    weights, state = model.optimizer.stateless_apply(state, gradient, weights)
    for kind, new in zip(kinds, (state, weights), strict=True):
        for variable, value in zip(kind, new, strict=True):
            variable.assign(value)


def direction_of(model, batch):
    return flat(
        keras.ops.convert_to_numpy(d)
        for d in update_direction(model, to_tensors(model, *batch))
    )


def check_equal(one, other, tolerance=1e-6):
    assert np.linalg.norm(other) > 0
    assert np.linalg.norm(one - other) <= tolerance * np.linalg.norm(other)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_apply_on_a_copy_and_leaves_no_trace(name):
    model, batch = trained(OPTIMIZERS[name])
    copy, _ = trained(OPTIMIZERS[name])
    before = everything(model)
    found = direction_of(model, batch)
    for value, expected in zip(everything(model), before, strict=True):
        np.testing.assert_array_equal(value, expected)
    check_equal(found, moved_by(copy, lambda: apply(copy, batch)))


JIT = [] if keras.backend.backend() == "torch" else [{"jit_compile": True}]


@pytest.mark.parametrize("how", [{}, {"run_eagerly": True}, *JIT], ids=str)
@pytest.mark.parametrize("name", ["adamw", "clipped"])
def test_equals_the_next_step_of_training(name, how):
    model, batch = trained(OPTIMIZERS[name], **how)
    found = direction_of(model, batch)
    check_equal(found, moved_by(model, lambda: model.train_on_batch(*batch)))


def test_equals_the_formula_of_adam():
    model, batch = trained(OPTIMIZERS["adam"], steps=0, build=example_models.mlp)
    moment, square = 0.0, 0.0
    for step in range(1, 4):
        # The first time, the optimizer is not built yet.
        found = direction_of(model, batch)
        weights = values(model.trainable_variables)
        g = flat(reference.value_and_grad(model, weights, *batch)[1])
        moment, square = 0.9 * moment + 0.1 * g, 0.999 * square + 0.001 * g**2
        rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        # To the rounding of W - W', a step of about a hundredth of the weights.
        check_equal(found, rate * moment / (np.sqrt(square) + 1e-7), 1e-4)
        model.train_on_batch(*batch)


@pytest.mark.parametrize("name", ["accumulated", "scaled"])
def test_a_batch_stands_for_all_that_are_still_to_be_accumulated(name):
    model, batch = trained(OPTIMIZERS[name], steps=4)
    found = direction_of(model, batch)
    assert not moved_by(model, lambda: model.train_on_batch(*batch)).any()
    check_equal(found, moved_by(model, lambda: model.train_on_batch(*batch)))


@pytest.mark.parametrize("name", ["momentum", "adam", "accumulated"])
def test_landscape_along_the_update(name):
    model, (x, y) = trained(OPTIMIZERS[name])
    weights = values(model.trainable_variables)
    direction = update_direction(model, to_tensors(model, x, y))
    direction = [keras.ops.convert_to_numpy(d) for d in direction]
    before = everything(model)
    r = probes.landscape(model, x, y, [0.5, 1.0, 2.0], direction="update")
    for value, expected in zip(everything(model), before, strict=True):
        np.testing.assert_array_equal(value, expected)
    length = np.linalg.norm(flat(direction))
    assert r.direction_norm == pytest.approx(length, rel=1e-6)
    _, g = reference.value_and_grad(model, weights, x, y)
    for s, loss, distance, beta in zip(
        r.step_sizes, r.losses, r.gradient_distances, r.betas, strict=True
    ):
        moved = [w - np.float32(s) * d for w, d in zip(weights, direction, strict=True)]
        expected, moved_g = reference.value_and_grad(model, moved, x, y)
        change = np.linalg.norm(flat(moved_g) - flat(g))
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        np.testing.assert_allclose(distance, change, rtol=1e-4)
        np.testing.assert_allclose(beta, change / (s * length), rtol=1e-4)
    assert r.beta == max(r.betas)
    # Step size 1 is the step.
    copy, _ = trained(OPTIMIZERS[name])
    apply(copy, (x, y))
    stepped = values(copy.trainable_variables)
    expected, _ = reference.value_and_grad(model, stepped, x, y)
    np.testing.assert_allclose(r.losses[1], expected, rtol=1e-5)


def test_critical_learning_rate_counts_steps():
    model, batch = trained(OPTIMIZERS["adam"])
    update = update_direction(model, to_tensors(model, *batch))
    found = probes.critical_learning_rate(model, *batch, direction="update")
    expected = probes.critical_learning_rate(model, *batch, direction=update)
    assert found == expected > 1
    # Plain gradient descent with learning rate 0.1 goes 0.1 gradients per step.
    model, batch = trained(lambda: optimizers.SGD(0.1), steps=0)
    found = probes.critical_learning_rate(model, *batch, direction="update")
    expected = probes.critical_learning_rate(model, *batch) / 0.1
    assert found == pytest.approx(expected, rel=1e-3)


def one_weight(learning_rate, weight):
    """L(w) = w^2 with SGD of momentum 1/2 that moved by -1 before."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    optimizer = optimizers.SGD(learning_rate, momentum=0.5)
    model.compile(optimizer, lambda y, y_pred: keras.ops.square(y_pred))
    model.set_weights([np.full((1, 1), weight)])
    optimizer.build(model.trainable_variables)
    optimizer.variables[-1].assign([[-1.0]])
    return model, (np.ones((2, 1)), np.ones((2, 1)))


def test_momentum_moves_where_the_gradient_is_zero():
    model, batch = one_weight(0.1, weight=0.0)
    r = probes.landscape(model, *batch, [1.0, 2.0], direction="update")
    assert r.gradient_norm == 0
    assert r.direction_norm == 0.5
    np.testing.assert_allclose(r.betas, 2.0)
    np.testing.assert_allclose(r.losses, [0.25, 1.0])
    assert not r.saturated
    assert r.note == ""


def test_an_update_of_zero_has_no_beta():
    # The gradient 2 and the momentum cancel.
    model, batch = one_weight(-0.25, weight=1.0)
    r = probes.landscape(model, *batch, [1.0], direction="update")
    assert r.gradient_norm == 2
    assert np.isnan(r.beta)
    assert r.note == "The update is zero, so there is no beta."
    assert probes.critical_learning_rate(model, *batch, direction="update") == 0


def test_an_update_skipped_for_overflow_is_zero():
    model, batch = trained(OPTIMIZERS["scaled"], build=example_models.mlp)
    x, y = batch
    assert not direction_of(model, (x * np.inf, y)).any()


class Noisy(optimizers.SGD):
    """Adds noise to the gradient, and counts in Python."""

    def __init__(self, learning_rate):
        super().__init__(learning_rate)
        self.generator = keras.random.SeedGenerator(1)
        self.calls = 0

    def update_step(self, gradient, variable, learning_rate):
        self.calls += 1
        noise = keras.random.normal(gradient.shape, seed=self.generator)
        super().update_step(gradient + noise, variable, learning_rate)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, variable, learning_rate)


def test_what_an_optimizer_keeps_elsewhere_stays():
    model, batch = trained(lambda: Noisy(0.1), build=example_models.mlp, steps=0)
    first = direction_of(model, batch)
    np.testing.assert_array_equal(direction_of(model, batch), first)
    assert model.optimizer.calls == 0


def test_a_multi_optimizer_is_one():
    if not hasattr(optimizers, "MultiOptimizer"):
        pytest.skip("new in Keras 3.14")

    def optimizer():
        sgd, adam = optimizers.SGD(0.1), optimizers.Adam(0.01)
        return optimizers.MultiOptimizer(lambda v: adam if "2" in v.path else sgd)

    model, batch = trained(optimizer, build=example_models.mlp)
    found = direction_of(model, batch)
    check_equal(found, moved_by(model, lambda: model.train_on_batch(*batch)))


def test_models_without_a_single_optimizer_are_refused():
    model, batch = example_models.mlp()
    model.optimizer = None

    def loss(model, x, y, sample_weight):
        return keras.ops.mean(keras.ops.square(model(x, training=True)))

    for probe, arguments in (
        (probes.landscape, (*batch, [1.0])),
        (probes.critical_learning_rate, batch),
    ):
        with pytest.raises(ValueError, match=r"one optimizer .* has 0 \(none\)"):
            probe(model, *arguments, direction="update", loss=loss)
        with pytest.raises(ValueError, match=r"direction must be .*; received 'up'"):
            probe(model, *arguments, direction="up", loss=loss)


def test_it_is_not_random():
    model, _ = example_models.mlp()
    assert random_direction("update", model, seed=0) is None
