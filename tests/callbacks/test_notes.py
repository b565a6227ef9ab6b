"""Numbers that are missing or cannot be relied on have a note that says why."""

import keras
import numpy as np
import pytest
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

import keras_bnsmooth as kb
from keras_bnsmooth.records import json_lines

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 4)).astype("float32"), RNG.normal(size=(8, 1))


def build(optimizer=None, kernel="glorot_uniform"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="tanh", name="first"),
            layers.Dense(1, kernel_initializer=kernel, name="last"),
        ]
    )
    model.compile(optimizer or keras.optimizers.SGD(0.1), "mse")
    return model


def opposite(step):
    return X, Y if step % 2 else -Y


def fit(model, probe, steps=3):
    model.fit(X, Y, batch_size=8, epochs=steps, verbose=0, callbacks=[probe])
    return probe.history["note"]


@pytest.mark.parametrize(
    ("make", "model", "expected"),
    [
        (
            lambda: kb.LandscapeProbe((X, Y), step_sizes=[1e-12, 0.1], every=1),
            build,
            "At 1 of 2 step sizes the change of the gradient",
        ),
        (
            lambda: kb.LandscapeProbe((X, Y), step_sizes=[1e3], every=1),
            lambda: build(keras.optimizers.SGD(1e-3)),
            "turned completely at the smallest step size",
        ),
        (
            lambda: kb.LandscapeProbe((X, Y), every=1),
            lambda: build(keras.optimizers.SGD(0.0)),
            "All step sizes are zero",
        ),
        (
            lambda: kb.ICSProbe((X, Y), every=1),
            lambda: build(kernel="zeros"),
            "so there is no cosine in first.",
        ),
        (
            lambda: kb.SharpnessProbe((X, Y), every=1, iterations=1),
            build,
            "The smallest eigenvalue",
        ),
        (
            # Two gradients that are opposite.
            lambda: kb.GradientNoiseProbe(opposite, every=1, batches=2),
            lambda: build(kernel="zeros"),
            "The mean of 2 batches is more noise than gradient",
        ),
        (
            lambda: kb.SpectrumProbe((X, Y), every=1, draws=1),
            build,
            "has a standard error of",
        ),
        (
            lambda: kb.LayerScaleProbe(every=1),
            lambda: build(keras.optimizers.Adam()),
            "The gradient of first, last is not known",
        ),
    ],
)
def test_says_why(make, model, expected):
    assert expected in fit(model(), make())[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: kb.LandscapeProbe((X, Y), step_sizes=[0.05, 0.1], every=1),
        lambda: kb.ICSProbe((X, Y), every=1),
        lambda: kb.SharpnessProbe((X, Y), every=1),
        lambda: kb.LayerScaleProbe((X, Y), every=1),
        lambda: kb.ActivationProbe((X, Y), every=1),
        lambda: kb.GradientNoiseProbe(lambda step: (X, Y), every=1, batches=2),
        # As many draws as weights: the trace is exact.
        lambda: kb.SpectrumProbe((X, Y), every=1, steps=1, draws=49),
    ],
)
def test_says_nothing_where_all_is_well(make):
    assert list(fit(build(), make())) == ["", "", ""]


def test_record_and_tensorboard_show_it_where_it_changes(tmp_path):
    # The gradient of the first layer is zero until the last one has moved.
    model = build(kernel="zeros")
    probe = kb.ICSProbe((X, Y), every=1, log_dir=tmp_path)
    history = list(fit(model, probe))
    assert history[0] and history[1:] == ["", ""]
    assert [row["note"] for row in json_lines.read(tmp_path / "ics.jsonl")] == history
    events = EventAccumulator(str(tmp_path / "ics"))
    events.Reload()
    texts = [
        (event.step, tensor_util.make_ndarray(event.tensor_proto).item().decode())
        for event in events.Tensors("note")
    ]
    assert texts == [(0, history[0]), (1, "Nothing any more.")]
