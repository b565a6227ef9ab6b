"""A grid on a real cluster of two nodes on this machine, one of which is killed."""

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
def cluster():
    cluster_utils = pytest.importorskip(
        "ray.cluster_utils", reason='needs Ray, pip install "keras-bnsmooth[ray]"'
    )
    # The head has no room for runs, so that they are on the two nodes.
    cluster = cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False},
    )
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    yield cluster, nodes
    cluster.shutdown()


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
        # In the middle of the grid and of at least one run.
        while len(list(folder.glob("*/checkpoint.npz"))) < 3:
            assert time.monotonic() < deadline and sweep.poll() is None
            time.sleep(0.05)
        cluster.remove_node(nodes[0], allow_graceful=False)
        output = sweep.communicate(timeout=600)[0]
    assert sweep.returncode == 0, output
    local = run_app("sweep", *GRID, "--jobs=2", f"--output={tmp_path / 'local'}")
    assert local.returncode == 0, local.stderr
    runs = sorted(path.parent for path in folder.glob("*/result.json"))
    assert len(runs) == 12, output
    for run in runs:
        assert _steps(run) == list(range(20, 2001, 20))
        other = tmp_path / "local" / run.name
        with (
            np.load(run / "checkpoint.npz") as ours,
            np.load(other / "checkpoint.npz") as theirs,
        ):
            assert ours.files == theirs.files
            for name in ours.files:
                np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_without_a_cluster_there_is_one_line(tmp_path, address):
    pytest.importorskip("ray")
    done = run_app(
        "sweep", "--engine=ray", f"--ray_address={address}", f"--output={tmp_path}"
    )
    assert f"there is no Ray cluster at {address}; start one" in error_of(done)
