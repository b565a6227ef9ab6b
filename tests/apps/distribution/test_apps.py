"""The training programs on several devices, as a user starts them."""

import json
import signal
import time

import numpy as np
import pytest

from keras_bnsmooth.records import json_lines
from tests.apps.distribution.processes import finish, started
from tests.apps.run_app import command, error_of, run_app, run_many

DLN = ("--depth=3", "--samples=40", "--metrics_every=10", "--checkpoint_every=10")
VGG = ("--dataset=digits", "--depth=11", "--width=4", "--batch_size=32")


def rows(run, name):
    return json_lines.read(run / f"{name}.jsonl")


@pytest.mark.slow
@pytest.mark.tensorflow
def test_mirrored(tmp_path):
    """Both networks train and are probed, as on one device."""
    runs = {}
    for strategy in ("none", "mirrored"):
        several = ("--logical_cpus=2", "--synchronized") if strategy != "none" else ()
        runs[strategy] = tmp_path / f"dln_{strategy}"
        done = run_app(
            "train_dln",
            *DLN,
            *several,
            f"--strategy={strategy}",
            "--norm=l2",
            "--xla=off",
            "--steps=20",
            "--probe_every=10",
            "--ics_every=10",
            "--activations_every=10",
            f"--workdir={runs[strategy]}",
        )
        assert done.returncode == 0, done.stderr
    config = json.loads((runs["mirrored"] / "config.json").read_text())
    assert config["distribution"] == {
        "strategy": "mirrored",
        "replicas": 2,
        "processes": 1,
        "statistics": "global batch",
        "noise": "own draws of each replica",
    }
    for record, field in (("metrics", "loss"), ("landscape", "losses")):
        one, two = ([row[field] for row in rows(run, record)] for run in runs.values())
        np.testing.assert_allclose(two, one, rtol=1e-4)

    run = tmp_path / "vgg"
    arguments = ("--strategy=mirrored", "--logical_cpus=2", "--probe_every=2")
    done = run_app(
        "train_vgg", *VGG, *arguments, "--steps=4", "--norm=none", f"--workdir={run}"
    )
    assert done.returncode == 0, done.stderr
    assert len(rows(run, "landscape")) == 2


@pytest.mark.tensorflow
def test_mistakes_end_in_a_line(tmp_path):
    messages = {
        ("--strategy=multi_worker_mirrored",): "KERAS_BACKEND=jax",
        ("--strategy=data_parallel",): "needs KERAS_BACKEND=jax",
        ("--strategy=mirrored", "--xla=on"): "--xla=on cannot be combined with",
        (
            "--strategy=mirrored",
            "--logical_cpus=2",
            "--samples=41",
        ): "2 devices cannot share 41 samples evenly",
    }
    workdir = f"--workdir={tmp_path / 'run'}"
    done = run_many("train_dln", *((*DLN, *flags, workdir) for flags in messages))
    for one, message in zip(done, messages.values(), strict=True):
        assert message in error_of(one)


def two_processes(run, steps):
    arguments = ("--strategy=data_parallel", "--norm=bn", "--probe_every=10")
    dln = command("train_dln", *DLN, *arguments, f"--steps={steps}", f"--workdir={run}")
    return started([dln, dln])


def wait_for(path, process):
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def checkpoint(run):
    with np.load(run / "checkpoint.npz") as file:
        # Records that differ in rounding have other checksums.
        return {name: file[name] for name in file.files if name != "records"}


@pytest.mark.slow
@pytest.mark.usefixtures("on_jax")
def test_two_processes_killed_and_started_again(tmp_path):
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    steps = 200
    with two_processes(through, steps) as processes:
        finish(processes)
    with two_processes(stopped, steps) as processes:
        wait_for(stopped / "checkpoint.npz", processes[0])
        for process in processes:
            process.send_signal(signal.SIGKILL)
    assert not (stopped / "result.json").exists()
    with two_processes(stopped, steps) as processes:
        finish(processes)

    for record in ("metrics", "landscape"):
        assert [row["step"] for row in rows(stopped, record)] == [
            row["step"] for row in rows(through, record)
        ]
    expected, found = checkpoint(through), checkpoint(stopped)
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("on_jax")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_dies(victim, tmp_path):
    """The other one ends soon and says why; what is written is whole."""
    run = tmp_path / "run"
    with two_processes(run, steps=100_000) as processes:
        wait_for(run / "checkpoint.npz", processes[0])
        processes[victim].send_signal(signal.SIGKILL)
        output, _ = processes[1 - victim].communicate(timeout=60)
        assert processes[1 - victim].returncode != 0
    if victim == 1:
        assert output.count("another process of this run has ended") == 1, output
        assert "Traceback" not in output, output
    else:
        # With the first process JAX's coordinator is gone, and JAX itself may end
        # the other one before we do.
        assert "another process of this run" in output or "another task died" in output
    assert checkpoint(run)
    steps = [row["step"] for row in rows(run, "metrics")]
    assert steps == list(range(10, steps[-1] + 1, 10))
