"""What a model trains: its compiled loss, a given one, or nobody knows."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops

import keras_bnsmooth as kb
from keras_bnsmooth import autodiff, probes
from tests.probes import reference

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 2)).astype("float32")
WEIGHT = np.linspace(0, 2, 8).astype("float32")


class OwnStep(keras.Sequential):
    def train_step(self, *arguments):
        return super().train_step(*arguments)


def build(cls=keras.Sequential):
    keras.utils.set_random_seed(0)
    model = cls(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="tanh", kernel_regularizer="l2"),
            keras.layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def quartic(model, x, y, sample_weight):
    """A loss that no string in `compile` names, with the regularizer."""
    errors = ops.mean(ops.power(y - model(x, training=True), 4), axis=-1)
    if sample_weight is not None:
        errors = errors * sample_weight
    return ops.mean(errors) + ops.sum(model.losses[0])


class Quartic(keras.Sequential):
    """The same as a compiled loss, for the slow reference."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        errors = ops.mean(ops.power(y - y_pred, 4), axis=-1)
        if sample_weight is not None:
            errors = errors * sample_weight
        return ops.mean(errors) + ops.sum(self.losses[0])


@pytest.mark.parametrize("sample_weight", [None, WEIGHT])
def test_every_function_measures_the_given_loss(sample_weight):
    model, twin = build(OwnStep), build(Quartic)
    batch, options = (X, Y), {"sample_weight": sample_weight, "loss": quartic}
    steps = [0.05, 0.2]
    loss, norm, losses, distances, _ = reference.landscape(
        twin, X, Y, steps, sample_weight
    )
    r = probes.landscape(model, *batch, steps, **options)
    np.testing.assert_allclose([r.loss, r.gradient_norm], [loss, norm], rtol=1e-4)
    np.testing.assert_allclose(r.losses, losses, rtol=1e-4)
    np.testing.assert_allclose(r.gradient_distances, distances, rtol=1e-3)
    l2, cosine = reference.internal_covariate_shift(
        twin, [(0, 1), (2, 3)], X, Y, 0.1, sample_weight
    )
    shift = probes.internal_covariate_shift(model, *batch, 0.1, **options)
    np.testing.assert_allclose(shift.l2, l2, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(shift.cosine, cosine, rtol=1e-4)
    # Functions that have their own references measure alike on the twin.
    plain = {"sample_weight": sample_weight}
    np.testing.assert_allclose(
        probes.sharpness(model, *batch, **options).sharpness,
        probes.sharpness(twin, *batch, **plain).sharpness,
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        probes.critical_learning_rate(model, *batch, **options),
        probes.critical_learning_rate(twin, *batch, **plain),
        rtol=1e-4,
    )
    weights = [v.numpy() for v in model.trainable_variables]
    scales = [
        probes.layer_scales(m, weights, weights, 0.1, x=X, y=Y, **o).gradient_norm
        for m, o in ((model, options), (twin, plain))
    ]
    np.testing.assert_allclose(*scales, rtol=1e-4)


def test_the_given_loss_wins_over_the_compiled_one_and_only_once():
    model = build()
    compiled = probes.landscape(model, X, Y, [0.1]).loss
    given = probes.landscape(model, X, Y, [0.1], loss=quartic).loss
    assert abs(given - compiled) > 0.01
    assert probes.landscape(model, X, Y, [0.1]).loss == compiled
    doubled = probes.landscape(
        model, X, Y, [0.1], loss=lambda *arguments: 2 * quartic(*arguments)
    )
    assert doubled.loss == pytest.approx(2 * given)


FUNCTIONS = {
    "landscape": lambda model, **o: probes.landscape(model, X, Y, [0.1], **o),
    "shift": lambda model, **o: probes.internal_covariate_shift(model, X, Y, 0.1, **o),
    "sharpness": lambda model, **o: probes.sharpness(model, X, Y, **o),
    "critical": lambda model, **o: probes.critical_learning_rate(model, X, Y, **o),
    "scales": lambda model, **o: probes.layer_scales(
        model, model.trainable_variables, model.trainable_variables, 0.1, x=X, y=Y, **o
    ),
}


def patched_instance():
    model = build()
    own = model.train_step
    model.train_step = lambda *arguments: own(*arguments)
    return model


class Mixin:
    """As of a package that adds a training step to any model."""

    def train_step(self, *arguments):
        return super().train_step(*arguments)


class Mixed(Mixin, keras.Sequential):
    pass


class Inherited(OwnStep):
    pass


CUSTOM = {
    "subclass": lambda: build(OwnStep),
    "grandchild": lambda: build(Inherited),
    "mixin": lambda: build(Mixed),
    "instance": patched_instance,
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("custom", CUSTOM)
def test_models_with_their_own_training_step_are_refused(custom, function):
    model = CUSTOM[custom]()
    with pytest.raises(ValueError, match=r"own train_step.* loss=") as raised:
        FUNCTIONS[function](model)
    assert "\n" not in str(raised.value)
    FUNCTIONS[function](model, loss=quartic)


def test_a_training_step_put_into_keras_own_class_is_refused(monkeypatch):
    own = keras.Model.train_step

    def train_step(self, *arguments):
        return own(self, *arguments)

    monkeypatch.setattr(keras.Sequential, "train_step", train_step)
    with pytest.raises(ValueError, match=r"own train_step"):
        probes.landscape(build(), X, Y, [0.1])


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="a method on JAX alone")
def test_own_loss_and_updates_are_refused():
    class OwnUpdates(keras.Sequential):
        def compute_loss_and_updates(self, *arguments, **options):
            return super().compute_loss_and_updates(*arguments, **options)

    with pytest.raises(ValueError, match="own compute_loss_and_updates"):
        probes.landscape(build(OwnUpdates), X, Y, [0.1])


def test_models_that_override_anything_else_are_measured():
    class Harmless(keras.Sequential):
        def test_step(self, *arguments):
            return super().test_step(*arguments)

        def fit(self, *arguments, **options):
            return super().fit(*arguments, **options)

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            return super().compute_metrics(x, y, y_pred, sample_weight)

    expected = probes.landscape(build(), X, Y, [0.1]).loss
    assert probes.landscape(build(Harmless), X, Y, [0.1]).loss == expected


def test_models_that_were_never_compiled_are_measured_on_a_given_loss():
    model = build()
    expected = probes.landscape(model, X, Y, [0.1], loss=quartic).loss
    bare = keras.Sequential([keras.Input((4,)), *model.layers])
    assert not bare.compiled
    r = probes.landscape(bare, X, Y, [0.1], loss=quartic)
    assert r.loss == pytest.approx(expected)
    with pytest.raises(ValueError, match="not compiled"):
        probes.landscape(bare, X, Y, [0.1])


def test_a_loss_that_is_no_scalar_is_refused():
    def of_samples(model, x, y, sample_weight):
        return ops.mean(ops.square(y - model(x)), axis=-1)

    with pytest.raises(ValueError, match=r"scalar; it returned .*\(8,\)"):
        probes.landscape(build(), X, Y, [0.1], loss=of_samples)
    with pytest.raises(ValueError, match=r"loss must be a function.*'mse'"):
        probes.landscape(build(), X, Y, [0.1], loss="mse")
    with pytest.raises(ValueError, match="loss must be a function"):
        kb.LandscapeProbe((X, Y), every=1, loss="mse")


def test_a_loss_may_follow_the_optimizers_steps():
    """As the weight of a term that is annealed does."""

    def annealed(model, x, y, sample_weight):
        weight = ops.cast(model.optimizer.iterations, "float32")
        return weight * quartic(model, x, y, sample_weight)

    model = build()
    plain = probes.landscape(model, X, Y, [0.1], loss=quartic).loss
    model.optimizer.build(model.trainable_variables)
    for iterations in (1, 3):
        model.optimizer.iterations.assign(iterations)
        r = probes.landscape(model, X, Y, [0.1], loss=annealed)
        assert r.loss == pytest.approx(iterations * plain, rel=1e-5)


def test_variables_of_other_models_are_followed_or_refused():
    model, teacher = build(), build()

    def distillation(model, x, y, sample_weight):
        return ops.mean(ops.square(model(x, training=True) - 2 * teacher(x)))

    def measured():
        return probes.landscape(model, X, Y, [0.1], loss=distillation).loss

    if keras.backend.backend() == "jax":
        with pytest.raises(ValueError, match="kernel, which is not a variable of"):
            measured()
        return
    before = measured()
    teacher.set_weights([1.1 * w for w in teacher.get_weights()])
    ours, theirs = (m.predict(X, verbose=0) for m in (model, teacher))
    assert measured() == pytest.approx(np.mean((ours - 2 * theirs) ** 2), rel=1e-5)
    assert abs(measured() - before) > 1e-4


def test_neither_model_nor_loss_outlives_its_last_reference():
    model = build()

    def loss(model_, x, y, sample_weight, model=model):
        return quartic(model, x, y, sample_weight)

    probes.landscape(model, X, Y, [0.1], loss=loss)
    probes.sharpness(model, X, Y, loss=loss, iterations=2)
    alive = weakref.ref(loss), weakref.ref(model)
    del loss
    gc.collect()
    assert alive[0]() is None
    del model
    gc.collect()
    assert alive[1]() is None


def test_an_error_leaves_the_compiled_loss_in_force():
    def broken(model, x, y, sample_weight):
        raise RuntimeError

    model = build()
    with pytest.raises(RuntimeError):
        probes.landscape(model, X, Y, [0.1], loss=broken)
    assert not autodiff.has_given_loss(model)
