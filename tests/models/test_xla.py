"""XLA on the CPU computes what TensorFlow's own kernels compute."""

import keras
import numpy as np
import pytest

from keras_bnsmooth.models import NORMS, vgg

NOISY = ("noise", "noisy_bn")  # XLA draws other random numbers
STEPS = 20
RNG = np.random.default_rng(0)
X = RNG.normal(size=(STEPS, 32, 16, 16, 3))
Y = RNG.integers(0, 10, (STEPS, 32))


# In float32 the losses of a normalized VGG tell nothing after a few steps: they part as
# fast when a weight changes by one unit of rounding, with or without XLA.
pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("float64")]


def losses(norm, jit_compile):
    model = vgg((16, 16, 3), depth=11, width=4, norm=norm, seed=0)
    model.compile(
        keras.optimizers.SGD(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    result = []
    for x, y in zip(X, Y, strict=True):
        model.reset_metrics()
        result.append(np.ravel(model.train_on_batch(x, y))[0])
    return np.array(result, np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_the_first_losses_of_every_norm_are_those_without_xla(norm):
    with_xla = losses(norm, True)
    assert np.isfinite(with_xla).all()
    if norm not in NOISY:
        np.testing.assert_allclose(with_xla, losses(norm, False), rtol=1e-4)
