import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_bnsmooth as kb
from keras_bnsmooth.records import json_lines
from tests.probes import example_models

QUANTITIES = ("signal", "variance", "noise_scale", "cosine", "layer_signal")


def parts(x, y, count):
    size = len(y) // count
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(y), size)]


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def test_rows_are_what_the_function_returns_at_that_step(tmp_path):
    model, (x, y) = example_models.bn_cnn()
    probe = kb.GradientNoiseProbe((x, y), every=2, batches=2, log_dir=tmp_path)
    expected = []

    class Measure(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch % 2 == 0:
                batches = parts(x, y, 2)
                expected.append(kb.probes.gradient_noise(self.model, batches))

    model.fit(x, y, batch_size=2, verbose=0, callbacks=[probe, Measure()])
    history = probe.history
    np.testing.assert_array_equal(history["step"], [0, 2])
    np.testing.assert_array_equal(history["batch_size"], [4, 4])
    for row, r in enumerate(expected):
        assert history["layers"][row].tolist() == r.layers
        for name in QUANTITIES:
            np.testing.assert_allclose(history[name][row], getattr(r, name), rtol=1e-5)
    recorded = json_lines.read_columns(tmp_path / "gradient_noise.jsonl")
    assert recorded.keys() == history.keys()
    np.testing.assert_array_equal(recorded["layer_cosine"], history["layer_cosine"])


def sources(x, y):
    """Four batches of two samples, from each form in which data come."""
    batches = parts(x, y, 4)
    return {
        "batch": (x, y),
        "function": lambda step: batches[step],
        "PyDataset": Batches(batches),
    }


@pytest.mark.parametrize("name", ["batch", "function", "PyDataset"])
def test_takes_successive_batches(name):
    model, (x, y) = example_models.mlp()
    expected = kb.probes.gradient_noise(model, parts(x, y, 4))
    probe = kb.GradientNoiseProbe(sources(x, y)[name], every=[0], batches=4)
    model.fit(x, y, verbose=0, callbacks=[probe])
    for quantity in QUANTITIES:
        np.testing.assert_allclose(
            probe.history[quantity][0], getattr(expected, quantity), rtol=1e-5
        )


def test_tensorboard_shows_totals_and_layers(tmp_path):
    model, (x, y) = example_models.mlp()
    probe = kb.GradientNoiseProbe((x, y), every=1, batches=2, log_dir=tmp_path)
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[probe])
    events = EventAccumulator(str(tmp_path / "gradient_noise"))
    events.Reload()
    tags = {"signal", "variance", "noise_scale", "cosine", "batch_size"}
    for layer in ("dense1", "dense2"):
        tags |= {f"noise_scale/{layer}", f"cosine/{layer}"}
    assert tags <= set(events.Tags()["tensors"])
    assert len(probe.dashboard().charts) == 3


@pytest.mark.parametrize("batches", [1, 2.5, "8"])
def test_the_number_of_batches_is_checked(batches):
    with pytest.raises(ValueError, match="batches must be an integer of 2 or more"):
        kb.GradientNoiseProbe((np.zeros(8), np.zeros(8)), every=1, batches=batches)


def test_a_batch_that_cannot_be_split():
    model, (x, y) = example_models.mlp()
    probe = kb.GradientNoiseProbe((x, y), every=1, batches=3)
    with pytest.raises(ValueError, match="8 samples cannot be split into 3") as raised:
        model.fit(x, y, verbose=0, callbacks=[probe])
    assert "\n" not in str(raised.value)
    assert int(model.optimizer.iterations) == 0
