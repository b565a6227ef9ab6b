"""A measurement that fails in the middle of training."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_bnsmooth as kb

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(32, 1))


class Fails(kb.ProbeCallback):
    def measure(self, step, batch):
        if step >= 4:
            raise MemoryError("no memory\nleft")
        return {"value": step}


class FailsAfterUpdate(kb.UpdateProbe):
    needs_data = False

    def measure_update(self, step, batch, weights, next_weights, learning_rate):
        if step >= 4:
            raise MemoryError("no memory\nleft")
        return {"value": step}


def train(*probes):
    keras.utils.set_random_seed(0)
    inner = [layers.Dense(4), layers.Dropout(0.2, seed=1), layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *inner])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    options = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(X, Y, callbacks=list(probes), **options)
    return [keras.ops.convert_to_numpy(v) for v in model.variables]


@pytest.mark.parametrize("probe", [Fails, FailsAfterUpdate])
def test_training_goes_on_without_the_probe_if_asked(probe, tmp_path):
    data = (X, Y) if probe is Fails else None
    failing = probe(data, every=2, on_error="warn", log_dir=tmp_path)
    with pytest.warns(UserWarning) as warned:
        trained = train(failing)
    (line,) = [str(w.message) for w in warned if "measures no more" in str(w.message)]
    assert line == (
        f"{probe.__name__} failed at step 4 and measures no more: no memory left"
    )
    assert failing.history["step"].tolist() == [0, 2]
    for one, other in zip(train(), trained, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("probe", [Fails, FailsAfterUpdate])
def test_training_ends_by_default(probe):
    data = (X, Y) if probe is Fails else None
    with pytest.raises(MemoryError) as raised:
        train(probe(data, every=2))
    assert raised.value.__notes__[-1] == f"{probe.__name__} was measuring step 4."


def test_other_values_are_refused():
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'warn'"):
        Fails((X, Y), every=2, on_error="ignore")
