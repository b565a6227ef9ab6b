import itertools

import keras
import numpy as np
import pytest

from apps.data import linear_teacher
from apps.training.compilation import compile_full_batch
from keras_bnsmooth.models import NORMS, SquaredError, dln

pytestmark = pytest.mark.tensorflow

X, Y = linear_teacher(samples=64, dim=4)


class Boundaries(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.steps = []

    def on_train_batch_begin(self, batch, logs=None):
        self.steps.append(int(self.model.optimizer.iterations))


def losses(norm, full_batch, steps=20):
    """Mean losses of the executions, the steps at which they begin, and weights."""
    model = dln(depth=5, dim=4, norm=norm, seed=0)
    model.compile(
        keras.optimizers.SGD(2.5e-6),
        SquaredError(),
        jit_compile=full_batch,
        steps_per_execution=5,
    )
    if full_batch:
        compile_full_batch(model)
    boundaries = Boundaries()
    history = model.fit(
        (batch for batch in itertools.repeat((X, Y))),
        steps_per_epoch=10,
        epochs=steps // 10,
        shuffle=False,
        callbacks=[boundaries],
        verbose=0,
    )
    return history.history["loss"], boundaries.steps, model.get_weights()


@pytest.mark.parametrize("norm", [n for n in NORMS if n not in ("noise", "noisy_bn")])
def test_it_trains_as_fit_does(norm):
    expected, got = losses(norm, False), losses(norm, True)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-4)
    assert got[1] == expected[1] == [0, 5, 10, 15]
    for w, v in zip(got[2], expected[2], strict=True):
        np.testing.assert_allclose(w, v, rtol=1e-3, atol=1e-5)


def test_every_step_draws_new_noise():
    model = dln(depth=2, dim=4, norm="noisy_bn", seed=0)
    model.compile(
        keras.optimizers.SGD(0.0),
        SquaredError(),
        jit_compile=True,
        steps_per_execution=3,
    )
    compile_full_batch(model)
    seeds = [v for v in model.non_trainable_variables if "seed" in v.path]
    before = [v.numpy() for v in seeds]
    model.fit(
        (batch for batch in itertools.repeat((X, Y))),
        steps_per_epoch=3,
        shuffle=False,
        verbose=0,
    )
    draws = {int((v.numpy() - b)[1]) for v, b in zip(seeds, before, strict=True)}
    (draws_of_all_steps,) = draws
    assert draws_of_all_steps > 0
    assert draws_of_all_steps % 3 == 0
