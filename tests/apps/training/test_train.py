"""Runs of a small noisy network, stopped and resumed in every way."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from apps.data import Batches
from apps.errors import DivergedError, UserError
from apps.training.metrics import Metrics
from apps.training.run_directory import RunDirectory
from apps.training.train import train
from keras_bnsmooth import recompute_moving_statistics
from keras_bnsmooth.layers import NoisyBatchNormalization
from keras_bnsmooth.records import json_lines

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8, 8, 1)).astype("float32")
Y = np.arange(64) % 4
CONFIG = {"flags": {"norm": "noisy_bn", "workdir": "a"}}


def build(learning_rate=0.05):
    keras.utils.clear_session()  # so that names are the same each time
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3),
            NoisyBatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2, seed=1),
            keras.layers.Dense(4),
        ]
    )
    model.compile(
        keras.optimizers.SGD(learning_rate, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def steps_of(path):
    return int(keras.models.load_model(path / "model.keras").optimizer.iterations)


class KilledError(Exception):
    pass


class KillAt(keras.callbacks.Callback):
    """Ends a run abruptly at a batch or at the end of an epoch."""

    def __init__(self, step=None, epoch=None):
        super().__init__()
        self.step = step
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            raise KilledError

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KilledError


def run(path, steps=24, kill=None, **changes):
    arguments = {
        "steps": steps,
        "metrics_every": 4,
        "checkpoint_every": 8,
        "test_data": (X, Y),
        "test_every": 12,
        "callbacks": [kill] if kill else [],
    }
    arguments.update(changes)
    batches = Batches(X, Y, 16, seed=0)
    return train(RunDirectory(path, CONFIG), build, batches.stream, **arguments)


def assert_same_run(a, b):
    """Weights, moving statistics, seeds, optimizer state and metrics are equal."""
    first, second = (np.load(path / "checkpoint.npz") for path in (a, b))
    assert first.files == second.files
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    for w, v in zip(
        *(keras.models.load_model(path / "model.keras").weights for path in (a, b)),
        strict=True,
    ):
        np.testing.assert_array_equal(w.numpy(), v.numpy(), err_msg=w.path)
    assert (a / "metrics.jsonl").read_bytes() == (b / "metrics.jsonl").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "uninterrupted"
    run(path)
    return path


def test_a_run_leaves_everything_behind(uninterrupted):
    names = {path.name for path in uninterrupted.iterdir()}
    assert names == {
        ".lock",
        "config.json",
        "metrics.jsonl",
        "train",
        "test",
        "checkpoint.npz",
        "model.keras",
        "result.json",
    }
    rows = json_lines.read(uninterrupted / "metrics.jsonl")
    assert [row["step"] for row in rows] == [4, 8, 12, 16, 20, 24]
    assert [row["step"] for row in rows if "test_accuracy" in row] == [12, 24]
    result = json.loads((uninterrupted / "result.json").read_text())
    assert result["status"] == "finished"
    assert result["test_accuracy"] == rows[-1]["test_accuracy"]


def test_a_second_evaluation_leaves_no_trace_in_the_run(tmp_path, uninterrupted):
    path = tmp_path / "run"
    result = run(path, statistics_batches=[(X[:32], Y[:32]), (X[32:], Y[32:])])
    assert_same_run(path, uninterrupted)
    plain = json.loads((uninterrupted / "result.json").read_text())
    assert {k: result[k] for k in plain if k.startswith("test_")} == {
        k: v for k, v in plain.items() if k.startswith("test_")
    }
    model = keras.models.load_model(path / "model.keras")
    recompute_moving_statistics(model, [X[:32], X[32:]])
    loss, accuracy = model.evaluate(X, Y, verbose=0)
    assert result["test_loss_recomputed"] == pytest.approx(loss, rel=1e-5)
    assert result["test_accuracy_recomputed"] == pytest.approx(accuracy)
    assert result["test_loss_recomputed"] != result["test_loss"]


def test_rows_are_means_over_the_steps_since_the_row_before(tmp_path):
    run(tmp_path / "run", steps=8)
    model = build()
    batches = Batches(X, Y, 16, seed=0)
    losses = []
    for step in range(8):
        model.reset_metrics()
        losses.append(float(model.train_on_batch(*batches(step))[0]))
    rows = json_lines.read(tmp_path / "run" / "metrics.jsonl")
    np.testing.assert_allclose(
        [row["loss"] for row in rows],
        [np.mean(losses[:4]), np.mean(losses[4:])],
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    "kill",
    [
        {"step": 3},  # before the first row
        {"step": 10},  # after a checkpoint and before the next row
        {"epoch": 3},  # after the row of step 16, before its checkpoint
        {"step": 23},
    ],
)
def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path, uninterrupted, kill):
    path = tmp_path / "run"
    with pytest.raises(KilledError):
        run(path, kill=KillAt(**kill))
    run(path)
    assert_same_run(path, uninterrupted)


def test_a_run_killed_twice_ends_the_same(tmp_path, uninterrupted):
    path = tmp_path / "run"
    for step in (9, 22):
        with pytest.raises(KilledError):
            run(path, kill=KillAt(step=step))
    run(path)
    assert_same_run(path, uninterrupted)


def test_a_finished_run_is_not_run_again(uninterrupted):
    before = (uninterrupted / "metrics.jsonl").read_bytes()
    result = run(uninterrupted, kill=KillAt(step=1))
    assert result["steps"] == 24
    assert (uninterrupted / "metrics.jsonl").read_bytes() == before


def test_a_finished_run_can_be_opened_without_its_model(tmp_path):
    result = run(tmp_path / "run", steps=4)
    (tmp_path / "run" / "model.keras").unlink()
    assert run(tmp_path / "run", steps=4) == result


def test_a_damaged_result_is_named(tmp_path):
    RunDirectory(tmp_path / "run", CONFIG).finish({"steps": 4})
    with pytest.raises(UserError, match=r"result\.json has no entry 'status'"):
        run(tmp_path / "run", steps=4)


def cut(text):
    return text[: text.index("\n", 10) + 1]


def change(text):
    return text.replace("0.", "1.", 1)


@pytest.mark.parametrize("damage", [cut, change, None])
@pytest.mark.parametrize("finished", [False, True])
def test_records_that_were_changed_meanwhile_are_noticed(tmp_path, damage, finished):
    path = tmp_path / "run"
    if finished:
        run(path)
    else:
        with pytest.raises(KilledError):
            run(path, kill=KillAt(step=18))
    metrics = path / "metrics.jsonl"
    if damage is None:
        metrics.unlink()
    else:
        metrics.write_text(damage(metrics.read_text()))
    with pytest.raises(UserError, match=r"metrics\.jsonl was cut, changed or removed"):
        run(path)


@pytest.mark.parametrize("what", ["removed", "replaced", "metrics"])
def test_a_run_notices_that_its_directory_changes(tmp_path, what):
    path = tmp_path / "run"

    class Intrude(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2 and what == "metrics":
                (path / "metrics.jsonl").write_text('{"step": 4}\n')
            elif epoch == 2:
                path.rename(tmp_path / "elsewhere")
                if what == "replaced":
                    run_directory = RunDirectory(path, CONFIG)
                    json_lines.append(run_directory.metrics, {"step": 4})

    match = "was cut, changed" if what == "metrics" else "removed or replaced"
    with pytest.raises(UserError, match=match):
        run(path, callbacks=[Intrude()])


def test_steps_that_the_rows_do_not_divide_are_all_made(tmp_path, uninterrupted):
    run(tmp_path / "run", steps=10)
    assert steps_of(tmp_path / "run") == 10
    rows = json_lines.read(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [4, 8, 10]
    expected = json_lines.read(uninterrupted / "metrics.jsonl")
    assert rows[:2] == expected[:2]


def test_a_run_killed_after_its_last_checkpoint_makes_no_step_twice(tmp_path):
    """The last interval, of 2 steps, ends in a checkpoint."""
    path = tmp_path / "run"
    run(path, steps=10, checkpoint_every=10)
    expected = keras.models.load_model(path / "model.keras")
    metrics = (path / "metrics.jsonl").read_bytes()
    # As if it had been killed before these were written.
    (path / "model.keras").unlink()
    (path / "result.json").unlink()
    run(path, steps=10, checkpoint_every=10)
    model = keras.models.load_model(path / "model.keras")
    assert int(model.optimizer.iterations) == 10
    for w, v in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(w, v)
    assert (path / "metrics.jsonl").read_bytes() == metrics


def test_a_diverging_run_keeps_its_metrics_and_says_so(tmp_path):
    path = tmp_path / "run"

    class Explode(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 6:
                self.model.optimizer.learning_rate = float("inf")

    with pytest.raises(DivergedError, match=r"diverged: .* steps up to 8\. Lower"):
        run(path, callbacks=[Explode()])
    rows = json_lines.read(path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [4, 8]
    assert not np.isfinite(rows[-1]["loss"])
    assert json.loads((path / "result.json").read_text())["status"] == "diverged"
    with pytest.raises(UserError, match="Lower the learning rate"):
        run(path)


def test_an_unreadable_checkpoint_says_what_to_do(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(KilledError):
        run(path, kill=KillAt(step=10))
    (path / "checkpoint.npz").write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"checkpoint\.npz cannot be read .* delete it"):
        run(path)


def test_only_the_prefix_of_test_metrics_is_renamed(tmp_path):
    directory = RunDirectory(tmp_path / "run", CONFIG)
    metrics = Metrics(directory)
    metrics.set_model(SimpleNamespace(optimizer=SimpleNamespace(iterations=4)))
    metrics.on_epoch_end(
        0, {"loss": 1.0, "interval_error": 2.0, "val_interval_error": 3.0}
    )
    metrics.close()
    assert json_lines.read(directory.metrics) == [
        {"step": 4, "loss": 1.0, "interval_error": 2.0, "test_interval_error": 3.0}
    ]
