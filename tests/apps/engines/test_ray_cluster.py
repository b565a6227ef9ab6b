"""A grid on a real cluster of two nodes on this machine, one of which is killed."""

import json
import shlex
import subprocess
import time

import numpy as np
import pytest

from keras_bnsmooth.records import json_lines
from tests.apps.run_app import command, error_of, run_app

GRID = (
    "--network=dln",
    "--norms=none,bn",
    "--learning_rates=1e-6,1e-5",
    "--seeds=3",
    "--run_flags=--depth=3 --samples=50 --steps=2000 --metrics_every=20 "
    "--checkpoint_every=20 --xla=off",
)


@pytest.fixture
def cluster(monkeypatch):
    cluster_utils = pytest.importorskip(
        "ray.cluster_utils", reason='needs Ray, pip install "keras-bnsmooth[ray]"'
    )
    # Ray gives way to other programs, so that beside other tests it would stand still.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    # The head has no room for runs, so that they are on the two nodes.
    cluster = cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False},
    )
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    yield cluster, nodes
    cluster.shutdown()


def _running(folder):
    return [
        path.parent
        for path in folder.glob("*/checkpoint.npz")
        if not path.with_name("result.json").exists()
    ]


def _steps(run):
    return [row["step"] for row in json_lines.read(run / "metrics.jsonl")]


@pytest.mark.slow
def test_a_grid_survives_the_death_of_a_node(cluster, tmp_path):
    cluster, nodes = cluster
    folder = tmp_path / "ray"
    sweep = subprocess.Popen(
        command(
            "sweep",
            *GRID,
            "--engine=ray",
            f"--ray_address={cluster.address}",
            f"--output={folder}",
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with sweep:
        deadline = time.monotonic() + 300
        while len(running := _running(folder)) < 2:  # one on each node
            assert time.monotonic() < deadline and sweep.poll() is None
            time.sleep(0.05)
        cluster.remove_node(nodes[0], allow_graceful=False)
        output = sweep.communicate(timeout=600)[0]
    assert sweep.returncode == 0, output
    runs = sorted(path.parent for path in folder.glob("*/result.json"))
    assert len(runs) == 12, output
    for run in runs:
        assert _steps(run) == list(range(20, 2001, 20))
    for run in running:
        other = _train_in_one_go(run, tmp_path / run.name)
        with (
            np.load(run / "checkpoint.npz") as ours,
            np.load(other / "checkpoint.npz") as theirs,
        ):
            assert ours.files == theirs.files
            for name in ours.files:
                np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def _train_in_one_go(run, workdir):
    """Runs the command of a run on this machine, into another directory."""
    line = json.loads((run / "config.json").read_text())["command"]
    _, _, program, *arguments = shlex.split(line)
    done = run_app(program.removeprefix("apps."), *arguments, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_without_a_cluster_there_is_one_line(tmp_path, address):
    pytest.importorskip("ray")
    done = run_app(
        "sweep", "--engine=ray", f"--ray_address={address}", f"--output={tmp_path}"
    )
    assert f"there is no Ray cluster at {address}; start one" in error_of(done)
