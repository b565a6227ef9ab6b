import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_bnsmooth as kb
from keras_bnsmooth.records import json_lines, snapshots

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = RNG.normal(size=(40, 2)).astype("float32")
VARIABLES = [
    "a/kernel (4, 5)",
    "a/bias (5,)",
    "bn/gamma (5,)",
    "bn/beta (5,)",
    "b/kernel (5, 2)",
    "b/bias (2,)",
]


def build(**arguments):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, name="a"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Dense(2, name="b"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", **arguments)
    return model


def fit(model, callbacks, epochs=1, **arguments):
    """Ten steps an epoch."""
    options = {"batch_size": 4, "shuffle": False, "verbose": 0} | arguments
    model.fit(X, Y, epochs=epochs, callbacks=callbacks, **options)


def weights(model):
    return np.concatenate([np.ravel(v.numpy()) for v in model.trainable_variables])


def path_in(folder):
    """Steps, and weights [T, P]."""
    steps = [row["step"] for row in json_lines.read(f"{folder}.jsonl")]
    return steps, np.array([snapshots.read(folder, step) for step in steps])


def test_snapshots_are_the_weights_before_each_step(tmp_path):
    probe = kb.TrajectoryProbe(every=[0, 4, 13], log_dir=tmp_path)
    fit(build(), [probe], epochs=2)
    model, expected = build(), []
    for step in range(14):
        if step in (0, 4, 13):
            expected.append(weights(model))
        rows = slice(4 * (step % 10), 4 * (step % 10) + 4)
        model.train_on_batch(X[rows], Y[rows])
    steps, found = path_in(probe.folder)
    assert steps == [0, 4, 13] == probe.history["step"].tolist()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(found[0], weights(build()))
    assert probe.history["variables"].tolist() == [VARIABLES] * 3
    part = slice(3, 9)
    np.testing.assert_array_equal(snapshots.read(probe.folder, 4, part), found[1, part])


def test_the_space_that_snapshots_take_is_said_before_training(tmp_path, capsys):
    def said(every, epochs, **arguments):
        probe = kb.TrajectoryProbe(every=every, log_dir=tmp_path, overwrite=True)

        class Say(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                print("training")

        fit(build(), [probe, Say()], epochs, **arguments)
        first, second, *_ = capsys.readouterr().out.splitlines()
        assert second == "training" and str(probe.folder) in first
        sizes = [
            f.stat().st_size - 128  # the header
            for f in probe.folder.glob("*.npy")
        ]
        return first, len(sizes), sum(sizes)

    line, count, size = said(3, 2)
    assert (count, size) == (7, 7 * 4 * 47)
    assert "up to 7 snapshots of 188 B, together 1.32 kB" in line
    line, count, _ = said([5, 17, 99], 3, initial_epoch=1)
    assert count == 2 and "up to 2 snapshots of 188 B, together 376 B" in line


def test_a_second_fit_goes_on(tmp_path, capsys):
    model, probe = build(), kb.TrajectoryProbe(every=4, log_dir=tmp_path)
    fit(model, [probe])
    fit(model, [kb.TrajectoryProbe(every=4, log_dir=tmp_path)])
    assert path_in(probe.folder)[0] == [0, 4, 8, 12, 16]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[3] for line in lines] == ["3", "2"]


RUN = """
import sys, time
import keras, numpy as np
import keras_bnsmooth as kb
from apps.training import checkpoint
from tests.callbacks.test_trajectory_probe import build, fit

folder, stop = sys.argv[1], int(sys.argv[2])
model, first = build(), 0
if stop == 0:
    checkpoint.restore(model, folder + "/checkpoint.npz")
    first = 1

class Checkpoint(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        checkpoint.save(self.model, folder + "/checkpoint.npz")

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == stop:
            print("here", flush=True)
            time.sleep(600)

probe = kb.TrajectoryProbe(every=3, log_dir=folder)
fit(model, [probe, Checkpoint()], epochs=2, initial_epoch=first)
"""


@pytest.mark.slow
def test_a_run_that_was_killed_and_resumed_has_the_same_path(tmp_path):
    # Killed at step 17, resumed from the checkpoint at step 10.
    arguments = [sys.executable, "-c", RUN, tmp_path]
    with subprocess.Popen([*arguments, "17"], stdout=subprocess.PIPE) as process:
        assert any(line == b"here\n" for line in process.stdout)
        process.kill()
    resumed = tmp_path / "trajectory"
    assert path_in(resumed)[0] == [0, 3, 6, 9, 12, 15]
    # What a kill leaves in the middle of a snapshot, and of the line that lists one.
    (resumed / "partial-weights-000000018.npy").write_bytes(b"half")
    (resumed / "weights-000000017.npy").write_bytes(b"of another schedule")
    with open(tmp_path / "trajectory.jsonl", "a") as file:
        file.write('{"step": 1')
    subprocess.run([*arguments, "0"], check=True)
    whole = kb.TrajectoryProbe(every=3, log_dir=tmp_path / "whole")
    fit(build(), [whole], epochs=2)
    steps, expected = path_in(whole.folder)
    found_steps, found = path_in(resumed)
    assert found_steps == steps == [0, 3, 6, 9, 12, 15, 18]
    np.testing.assert_array_equal(found, expected)
    assert len([*resumed.glob("*.npy")]) == 7


def test_another_run_in_the_way_keeps_its_snapshots(tmp_path):
    first = kb.TrajectoryProbe(every=4, log_dir=tmp_path)
    fit(build(), [first])
    _, before = path_in(first.folder)
    with pytest.raises(ValueError, match="already holds a run up to step 8"):
        fit(build(), [kb.TrajectoryProbe(every=5, log_dir=tmp_path)])
    np.testing.assert_array_equal(path_in(first.folder)[1], before)
    fit(build(), [kb.TrajectoryProbe(every=5, log_dir=tmp_path, overwrite=True)])
    names = sorted(path.name for path in first.folder.glob("*.npy"))
    assert names == ["weights-000000000.npy", "weights-000000005.npy"]


def test_damaged_snapshots_are_named(tmp_path):
    probe = kb.TrajectoryProbe(every=4, log_dir=tmp_path)
    fit(build(), [probe])
    path = probe.folder / "weights-000000004.npy"
    for content in (path.read_bytes()[:150], b"", b"something else", None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        else:
            path.mkdir()
        with pytest.raises(ValueError, match=r"weights-000000004.npy cannot be read"):
            snapshots.read(probe.folder, 4)


def test_every_precision_is_kept(tmp_path):
    import ml_dtypes

    values = RNG.normal(size=7)
    for dtypes in (["float32"], ["float64", "float32"], [ml_dtypes.bfloat16]):
        arrays = [values.astype(dtype) for dtype in dtypes]
        snapshots.write(tmp_path, 1, arrays)
        found = snapshots.read(tmp_path, 1)
        assert found.dtype in ("float32", "float64")
        for array, part in zip(arrays, np.split(found, len(arrays)), strict=True):
            np.testing.assert_array_equal(part, array.astype(found.dtype))


def test_errors_at_the_start(tmp_path):
    model = build()
    model.trainable = False
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="no trainable weights"):
        fit(model, [kb.TrajectoryProbe(every=5, log_dir=tmp_path)])
    with pytest.raises(TypeError, match="log_dir"):
        kb.TrajectoryProbe(every=5)
    assert not (tmp_path / "trajectory").exists()
