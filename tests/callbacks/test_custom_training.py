"""Models with training steps of their own, measured against what they trained."""

import keras
import numpy as np
import pytest

import keras_bnsmooth as kb
from tests.callbacks import custom_models
from tests.callbacks.custom_models import LABELS, X, build, build_gan, total_loss
from tests.probes import reference

STEPS = 5
RATE = 0.05
BATCH = (X, LABELS)
MODELS = [custom_models.VAE, custom_models.Contrastive, custom_models.Adversarial]

gan_trains = pytest.mark.skipif(
    keras.backend.backend() == "jax",
    reason="a training step on JAX has the state of one optimizer",
)


class UpdateNorm(kb.UpdateProbe):
    """Norm of each update of the variables whose path begins so."""

    def __init__(self, part="", **arguments):
        super().__init__(every=1, **arguments)
        self.part = part

    needs_data = False

    def measure_update(self, step, batch, weights, next_weights, learning_rate):
        paths = [v.path for v in self.model.trainable_variables]
        moves = [
            b - a
            for path, a, b in zip(paths, weights, next_weights, strict=True)
            if path.startswith(self.part)
        ]
        return {"norm": reference.norm(moves)}


def fit(model, callbacks=(), data=BATCH):
    """One batch, which holds all data, in each epoch."""
    history = model.fit(
        *data,
        batch_size=len(X),
        shuffle=False,
        epochs=STEPS,
        verbose=0,
        callbacks=list(callbacks),
    )
    return history.history


def variables(model):
    return [np.array(v.numpy()) for v in model.variables]


def all_probes(loss, log_dir, data=BATCH):
    options = {"every": 2, "log_dir": log_dir, "loss": loss}
    return [
        kb.LandscapeProbe(data, step_sizes=[0.01, 0.1], **options),
        kb.ICSProbe(data, update="training", **options),
        kb.SharpnessProbe(data, iterations=3, **options),
        kb.LayerScaleProbe(data, **options),
        kb.GradientNoiseProbe(data, batches=2, **options),
        kb.SpectrumProbe(data, steps=3, draws=1, **options),
    ]


@pytest.mark.parametrize("cls", MODELS)
def test_loss_and_gradient_are_those_of_training(cls):
    probe = kb.LandscapeProbe(BATCH, every=1, loss=total_loss)
    update = UpdateNorm()
    logged = fit(build(cls), [probe, update])["total"]
    np.testing.assert_allclose(probe.history["loss"], logged, rtol=1e-4)
    moved = update.history["norm"] / RATE
    np.testing.assert_allclose(probe.history["gradient_norm"], moved, rtol=1e-4)


def test_a_batch_need_not_have_the_shape_of_the_inputs():
    """As long as the loss calls the model on what it takes."""
    model = custom_models.build_metric_learning(RATE)
    data = X.reshape(-1, 2, 3), LABELS
    probe = kb.LandscapeProbe(data, every=1, loss=total_loss)
    update = UpdateNorm()
    logged = fit(model, [probe, update, *all_probes(total_loss, None, data)], data)
    np.testing.assert_allclose(probe.history["loss"], logged["total"], rtol=1e-4)
    moved = update.history["norm"] / RATE
    np.testing.assert_allclose(probe.history["gradient_norm"], moved, rtol=1e-4)


@pytest.mark.parametrize("cls", MODELS)
def test_the_path_is_that_of_plain_differentiation(cls):
    model, steps = build(cls), [0.01, 0.3]
    check_landscape(model, total_loss, steps)


def check_landscape(model, loss, steps):
    r = kb.probes.landscape(model, *BATCH, steps, loss=loss)
    expected = reference.landscape(model, *BATCH, steps, loss=loss)
    measured = r.loss, r.gradient_norm, r.losses, r.gradient_distances, r.beta
    tolerances = 1e-4, 1e-4, 1e-4, 1e-3, 1e-3
    for value, right, tolerance in zip(measured, expected, tolerances, strict=True):
        np.testing.assert_allclose(value, right, rtol=tolerance)


@pytest.mark.parametrize("loss", [custom_models.d_loss, custom_models.g_loss])
def test_both_losses_of_a_gan_against_plain_differentiation(loss):
    check_landscape(build_gan(), loss, [0.01, 0.3])


@gan_trains
def test_both_losses_of_a_gan_are_those_of_training():
    options = {"every": 1, "step_sizes": [0.01, 0.1]}
    of_d, of_g = (
        kb.LandscapeProbe((X,), loss=loss, name=name, **options)
        for loss, name in ((custom_models.d_loss, "d"), (custom_models.g_loss, "g"))
    )
    model = build_gan()
    d_update, g_update = (
        UpdateNorm(part.name) for part in (model.discriminator, model.generator)
    )
    logged = fit(model, [of_d, of_g, d_update, g_update], data=(X,))
    assert of_d.history["step"].tolist() == list(range(STEPS))
    for probe, name, update, rate in (
        (of_d, "d_loss", d_update, 0.05),
        (of_g, "g_loss", g_update, 0.1),
    ):
        np.testing.assert_allclose(probe.history["loss"], logged[name], rtol=1e-4)
        np.testing.assert_allclose(
            probe.history["gradient_norm"], update.history["norm"] / rate, rtol=1e-4
        )


@pytest.mark.parametrize("cls", MODELS)
def test_training_is_the_same_bit_for_bit(cls, tmp_path):
    plain = build(cls)
    logged = fit(plain)
    probed = build(cls)
    probes = all_probes(total_loss, tmp_path)
    assert fit(probed, probes).items() >= logged.items()
    for value, expected in zip(variables(probed), variables(plain), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert [len(probe.history["step"]) for probe in probes] == [3] * len(probes)


@gan_trains
def test_a_gan_trains_the_same_bit_for_bit(tmp_path):
    plain = build_gan()
    fit(plain, data=(X,))
    probed = build_gan()
    probes = [
        kb.LandscapeProbe(
            (X,), every=2, step_sizes=[0.1], loss=custom_models.d_loss, log_dir=tmp_path
        ),
        kb.ICSProbe(
            (X,),
            every=2,
            update="training",
            loss=custom_models.g_loss,
            log_dir=tmp_path,
        ),
    ]
    fit(probed, probes, data=(X,))
    for value, expected in zip(variables(probed), variables(plain), strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("cls", MODELS)
@pytest.mark.parametrize("dry_run", [True, False])
def test_without_a_loss_training_does_not_start(cls, dry_run):
    model = build(cls)
    options = {"every": 3, "dry_run": dry_run}
    for probe in (
        kb.LandscapeProbe(BATCH, **options),
        kb.ICSProbe(BATCH, **options),
        kb.SharpnessProbe(BATCH, **options),
        kb.LayerScaleProbe(BATCH, **options),
        kb.GradientNoiseProbe(BATCH, batches=2, **options),
        kb.SpectrumProbe(BATCH, **options),
    ):
        with pytest.raises(ValueError, match=r"own train_step.*loss=") as raised:
            fit(model, [probe])
        assert "\n" not in str(raised.value)
        assert int(model.optimizer.iterations) == 0


def test_what_needs_no_loss_is_measured_without_one():
    model = build(custom_models.Adversarial)
    scales = kb.LayerScaleProbe(every=1)
    activations = kb.ActivationProbe(BATCH, every=1)
    fit(model, [scales, activations])
    assert len(scales.history["step"]) == len(activations.history["step"]) == STEPS


def test_functions_called_by_a_probe_of_the_users_own_measure_its_loss():
    class Beta(kb.ProbeCallback):
        def measure(self, step, batch):
            r = kb.probes.landscape(self.model, *batch[:2], [0.1])
            return {"loss": r.loss}

    with pytest.raises(ValueError, match="own train_step"):
        fit(build(custom_models.VAE), [Beta(BATCH, every=1)])
    probe = Beta(BATCH, every=1, loss=total_loss)
    logged = fit(build(custom_models.VAE), [probe])["total"]
    np.testing.assert_allclose(probe.history["loss"], logged, rtol=1e-4)


def test_a_gan_has_no_single_learning_rate():
    model = build_gan()
    probe = kb.LandscapeProbe((X,), every=1, loss=custom_models.d_loss)
    with pytest.raises(
        ValueError, match=r"(?i)\(rm\w+, sgd\w*, sgd\w*\).* step_sizes="
    ) as e:
        fit(model, [probe], data=(X,))
    assert "\n" not in str(e.value)


def test_losses_are_those_of_the_formulas():
    """Adversarial training of logistic regression has a closed form."""
    signs = np.where(LABELS > 0, 1.0, -1.0)

    class Logistic(custom_models.Adversarial):
        def __init__(self):
            keras.Model.__init__(self)
            self.dense = keras.layers.Dense(1, use_bias=False)

        def call(self, x, training=False):
            return self.dense(x)

        def _crossentropy(self, x, y):
            logits = self(x, training=True)[:, 0]
            return keras.ops.mean(keras.ops.softplus(-y * logits))

    model = build(Logistic)
    y = signs.astype("float32")
    r = kb.probes.landscape(model, X, y, [0.1], loss=total_loss)
    w = model.trainable_variables[0].numpy().astype(np.float64)[:, 0]
    # The gradient along x is -sigmoid(-y w'x) y w, so that its sign is -y sign(w).
    losses, gradient = 0.0, 0.0
    for x in (X, X - 0.1 * signs[:, None] * np.sign(w)):
        margins = signs * (x @ w)
        losses += 0.5 * np.mean(np.log1p(np.exp(-margins)))
        slope = -signs / (1 + np.exp(margins))
        gradient += 0.5 * np.mean(slope[:, None] * x, axis=0)
    assert r.loss == pytest.approx(losses, rel=1e-5)
    assert r.gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
