import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_bnsmooth as kb
from keras_bnsmooth.records import json_lines
from tests.probes import example_models

OPTIONS = {"steps": 6, "draws": 2, "eigenvalues": 3}


def test_rows_are_what_the_function_returns_at_that_step(tmp_path):
    model, (x, y) = example_models.bn_cnn()
    probe = kb.SpectrumProbe((x, y), every=2, log_dir=tmp_path, **OPTIONS)
    expected = []

    class Measure(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch % 2 == 0:
                seed = [0, batch]
                r = kb.probes.spectrum(self.model, x, y, seed=seed, **OPTIONS)
                expected.append(r)

    model.fit(x, y, batch_size=2, verbose=0, callbacks=[probe, Measure()])
    history = probe.history
    np.testing.assert_array_equal(history["step"], [0, 2])
    for row, r in enumerate(expected):
        for name in ("trace", "trace_error", "density", "grid", "size"):
            np.testing.assert_allclose(history[name][row], getattr(r, name), rtol=1e-5)
        found = len(r.eigenvalues)
        np.testing.assert_allclose(
            history["eigenvalues"][row][:found], r.eigenvalues, rtol=1e-5
        )
    recorded = json_lines.read_columns(tmp_path / "spectrum.jsonl")
    assert recorded.keys() == history.keys()
    np.testing.assert_array_equal(recorded["density"], history["density"])


def test_eigenvalues_that_do_not_exist_are_nan():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    x = np.array([[1.0], [2.0]])
    probe = kb.SpectrumProbe((x, x), every=1, **OPTIONS)
    model.fit(x, x, verbose=0, callbacks=[probe])
    # H = 2 mean(x**2), a single number.
    np.testing.assert_allclose(
        probe.history["eigenvalues"], [[5, np.nan, np.nan]], rtol=1e-6
    )


def test_tensorboard_shows_trace_eigenvalues_and_density(tmp_path):
    model, (x, y) = example_models.mlp()
    probe = kb.SpectrumProbe((x, y), every=1, log_dir=tmp_path, **OPTIONS)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[probe])
    events = EventAccumulator(str(tmp_path / "spectrum"))
    events.Reload()
    assert {"trace/low", "eigenvalue/largest", "density"} <= set(
        events.Tags()["tensors"]
    )
    (row,) = json_lines.read(tmp_path / "spectrum.jsonl")
    row = {name: np.asarray(value) for name, value in row.items()}
    counts, edges = probe.histograms(row)["density"]
    weights = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert counts.sum() == pytest.approx(weights)
    centers = (edges[1:] + edges[:-1]) / 2
    mean = np.average(centers, weights=counts)
    width = edges[1] - edges[0]
    assert abs(mean * weights - row["trace"]) <= 1e-3 * width * weights


@pytest.mark.parametrize("name", ["steps", "draws", "eigenvalues"])
def test_counts_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer"):
        kb.SpectrumProbe((np.zeros(8), np.zeros(8)), every=1, **{name: 0})
