import json
import resource
import subprocess
import time

import numpy as np
import pytest

from keras_bnsmooth.records import json_lines
from tests.apps.run_app import command, error_of, run_app, run_many

SMALL = ("--dataset=digits", "--depth=11", "--width=2", "--metrics_every=10")


def test_a_run_leaves_records_model_and_picture(tmp_path):
    workdir = tmp_path / "run"
    arguments = (*SMALL, "--norm=l1", "--steps=20", f"--workdir={workdir}")
    done = run_app("train_vgg", *arguments)
    assert done.returncode == 0, done.stderr
    assert "step 20/20" in done.stdout
    assert "Test accuracy" in done.stdout
    assert "handwritten digits" in done.stdout
    config = json.loads((workdir / "config.json").read_text())
    assert config["flags"]["norm"] == "l1"
    assert config["command"].startswith("python -m apps.train_vgg --dataset=digits")
    assert config["versions"]["keras"]
    rows = json_lines.read(workdir / "metrics.jsonl")
    assert [row["step"] for row in rows] == [10, 20]
    assert (workdir / "model.keras").exists()
    assert (workdir / "training_curves.png").read_bytes().startswith(b"\x89PNG")

    again = run_app("train_vgg", *arguments)
    assert again.returncode == 0
    assert "is already finished" in again.stdout
    other = run_app("train_vgg", *arguments, "--norm=bn")
    assert "--norm=l1 (asked: bn)" in error_of(other)


@pytest.mark.slow
def test_a_network_with_noise_is_evaluated_as_well_as_batch_normalization(tmp_path):
    results = {}
    for norm in ("bn", "noisy_bn"):
        workdir = tmp_path / norm
        arguments = ("--dataset=digits", "--depth=11", "--width=8", "--steps=500")
        done = run_app(
            "train_vgg", *arguments, f"--norm={norm}", f"--workdir={workdir}"
        )
        assert done.returncode == 0, done.stderr
        results[norm] = json.loads((workdir / "result.json").read_text())
    assert "moving statistics recomputed without noise" in done.stdout
    assert "test_accuracy_recomputed" not in results["bn"]
    noisy = results["noisy_bn"]
    assert noisy["test_accuracy_recomputed"] > results["bn"]["test_accuracy"] - 0.02
    # How much is lost without that differs a lot with the noise that was drawn.
    assert noisy["test_accuracy_recomputed"] > noisy["test_accuracy"]


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_as_if_it_had_not_been(tmp_path):
    arguments = (*SMALL, "--norm=noisy_bn", "--steps=200", "--checkpoint_every=20")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_app("train_vgg", *arguments, f"--workdir={whole}").returncode == 0
    rng = np.random.default_rng()
    for _ in range(2):
        process = subprocess.Popen(
            command("train_vgg", *arguments, f"--workdir={killed}"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_rows(killed / "metrics.jsonl", process)
        time.sleep(rng.uniform(0, 2))
        process.kill()
        process.wait()
    assert run_app("train_vgg", *arguments, f"--workdir={killed}").returncode == 0
    metrics = [(path / "metrics.jsonl").read_bytes() for path in (whole, killed)]
    assert metrics[0] == metrics[1]
    first, second = (np.load(path / "checkpoint.npz") for path in (whole, killed))
    assert first.files == second.files
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def wait_for_rows(path, process):
    """Waits until the run has written rows beyond those that it may have had."""
    before = path.stat().st_size if path.exists() else 0
    while process.poll() is None:
        if path.exists() and path.stat().st_size > before:
            return
        time.sleep(0.05)


def test_mistakes_end_in_one_line(tmp_path):
    messages = {
        ("--batch_size=1438",): "batch_size must be from 1 to the 1437",
        ("--dataset=nowhere.npz",): "nowhere.npz cannot be read",
        ("--norm=bn", "--norm_after_centering"): "linf; received norm='bn'",
        ("--learning_rate=0", "--probe_every=5"): "received --learning_rate=0.0",
        ("--learning_rate=1e20", "--steps=20"): "Training diverged: the loss is",
        ("--width=100000",): "--width=100000 --batch_size=128 with 10 classes needs at",
    }
    runs = [
        (*SMALL, *arguments, f"--workdir={tmp_path}/{number}")
        for number, arguments in enumerate(messages)
    ]
    done = run_many("train_vgg", *runs)
    for one, message in zip(done, messages.values(), strict=True):
        assert message in error_of(one)


def test_a_wrong_flag_is_named():
    wrong = ["--norm=l3", "--steps=-5", "--depth=12"]
    for flag, done in zip(
        wrong, run_many("train_vgg", *([flag] for flag in wrong)), strict=True
    ):
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert flag.lstrip("-").split("=")[0] in done.stderr


def test_a_workdir_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    done = run_app("train_vgg", *SMALL, f"--workdir={tmp_path}/file/run")
    assert f"{tmp_path}/file/run: Not a directory" in error_of(done)


@pytest.mark.slow
def test_a_full_disk_ends_in_one_line_and_the_run_can_be_resumed(tmp_path):
    arguments = (
        *SMALL,
        "--steps=40",
        "--checkpoint_every=10",
        f"--workdir={tmp_path}/run",
    )

    def no_file_above_40_kilobytes():
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    full = run_app("train_vgg", *arguments, preexec_fn=no_file_above_40_kilobytes)
    assert "File too large" in error_of(full)
    rows = json_lines.read(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [10]
    assert not list((tmp_path / "run").glob("partial-*"))
    assert run_app("train_vgg", *arguments).returncode == 0
