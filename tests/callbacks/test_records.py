"""Where records go: one file per probe, in a directory, each step once."""

import functools

import keras
import numpy as np
import pytest

import keras_bnsmooth as kb
from keras_bnsmooth.records import json_lines

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = RNG.normal(size=(40, 2)).astype("float32")
BATCH = (X[:8], Y[:8])
PROBES = (
    kb.LandscapeProbe,
    kb.ICSProbe,
    kb.ActivationProbe,
    kb.LayerScaleProbe,
    kb.GradientNoiseProbe,
    functools.partial(kb.SpectrumProbe, steps=2, draws=1),
)


def build():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="b")])
    model.compile("sgd", "mse")
    return model


def fit(model, callbacks, **arguments):
    model.fit(X, Y, batch_size=4, verbose=0, callbacks=callbacks, **arguments)


def starts_with(callbacks, error):
    """Training must stop before its first step, with one line."""
    model = build()
    with pytest.raises(ValueError, match=error) as raised:
        fit(model, callbacks)
    assert int(model.optimizer.iterations) == 0
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("make", PROBES)
def test_two_probes_of_one_name_in_one_directory_are_refused(make, tmp_path):
    def probe(**options):
        return make(BATCH, every=5, **options)

    two = [probe(log_dir=tmp_path, name="mine"), probe(log_dir=tmp_path, name="mine")]
    starts_with(two, r"two probes write .*mine\.jsonl.*name=")
    # Of two classes, and where the paths are written in two ways.
    elsewhere = tmp_path / "a" / ".."
    (tmp_path / "a").mkdir()
    other = kb.SharpnessProbe(BATCH, every=5, log_dir=str(elsewhere), name="mine")
    starts_with([probe(log_dir=tmp_path, name="mine"), other], "two probes write")
    assert not (tmp_path / "mine.jsonl").exists()


@pytest.mark.parametrize("make", PROBES)
def test_other_names_directories_and_trainings_do_not_collide(make, tmp_path):
    model = build()
    probes = [
        make(BATCH, every=5, log_dir=tmp_path, name="one"),
        make(BATCH, every=5, log_dir=tmp_path, name="two"),
        make(BATCH, every=5, log_dir=tmp_path / "sub", name="one"),
        make(BATCH, every=5, name="one"),
        make(BATCH, every=5, name="one"),
    ]
    fit(model, probes)
    # Another probe resumes the record while the first one is still referenced.
    again = make(BATCH, every=5, log_dir=tmp_path, name="one")
    fit(model, [again])
    rows = json_lines.read(tmp_path / "one.jsonl")
    assert [row["step"] for row in rows] == [0, 5, 10, 15]


def test_an_interrupted_training_leaves_its_record_to_the_next_one(tmp_path):
    class Interrupted(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 7:
                raise RuntimeError

    model = build()
    first = kb.LandscapeProbe(BATCH, every=5, log_dir=tmp_path)
    with pytest.raises(RuntimeError):
        fit(model, [first, Interrupted()])
    second = kb.LandscapeProbe(BATCH, every=5, log_dir=tmp_path)
    fit(model, [second])
    assert second.history["step"].tolist() == [0, 5, 10, 15]
    assert first.history["step"].tolist() == [0, 5]


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "", ".", "..", "a\0b"])
def test_names_that_are_no_file_names_are_refused(name, tmp_path):
    for make in PROBES:
        with pytest.raises(ValueError, match="name must be a file name") as raised:
            make(BATCH, every=5, log_dir=tmp_path, name=name)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("make", PROBES)
def test_a_log_dir_that_is_a_file_is_refused(make, tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    for log_dir in (path, str(path), path / "below"):
        starts_with(
            [make(BATCH, every=5, log_dir=log_dir, dry_run=False)],
            "log_dir must be a directory; .*file is a file",
        )
    assert path.read_text() == "mine"


@pytest.mark.parametrize("make", PROBES)
def test_compiling_with_the_same_optimizer_records_no_step_twice(make, tmp_path):
    model = build()
    probe = make(BATCH, every=3, log_dir=tmp_path, name="record")
    fit(model, [probe])
    model.compile(model.optimizer, "mse")
    fit(model, [probe])
    expected = [0, 3, 6, 9, 12, 15, 18]
    assert probe.history["step"].tolist() == expected
    rows = json_lines.read(tmp_path / "record.jsonl")
    assert [row["step"] for row in rows] == expected


@pytest.mark.parametrize("make", PROBES)
def test_compiling_with_a_new_optimizer_does_not_touch_the_record(make, tmp_path):
    model = build()
    probe = make(BATCH, every=3, log_dir=tmp_path, name="record")
    fit(model, [probe])
    before = (tmp_path / "record.jsonl").read_text()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="already holds a run up to step 9"):
        fit(model, [probe])
    assert int(model.optimizer.iterations) == 0
    assert (tmp_path / "record.jsonl").read_text() == before
