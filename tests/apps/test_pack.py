"""The folder for a machine without a network, and what runs from it."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from apps import pack
from keras_bnsmooth.models import NORMS
from tests.apps.run_app import error_of, run_app


def test_the_list_holds_every_norm_and_three_seeds_of_the_main_ones():
    names = {line.split()[0] for line in pack.list_runs().splitlines()}
    assert {name.rpartition("_seed")[0] for name in names} == set(NORMS)
    for norm in ("none", "bn"):
        assert {f"{norm}_seed{seed}" for seed in range(3)} <= names


def test_mistakes_end_in_one_line(tmp_path):
    output = f"--output={tmp_path}/packed"
    done = run_app("pack", output, f"--data={tmp_path}")
    assert "is no .npz and no folder with a prepare.py" in error_of(done)
    done = run_app("pack", f"--output={tmp_path}", "--data=images.npz")
    assert "is there already" in error_of(done)


@pytest.mark.slow
def test_a_packed_folder_trains_from_its_wheels_alone(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 32, 32, 3), dtype="uint8")
    labels = np.arange(40) % 10
    np.savez(
        tmp_path / "images.npz",
        **{"x_train": images, "y_train": labels, "x_test": images, "y_test": labels},
    )
    packed = tmp_path / "packed"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    done = run_app(
        "pack",
        f"--output={packed}",
        f"--data={tmp_path}/images.npz",
        f"--python_version={version}",
        "--packages=namex",
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [
            *("bash", packed / "run.sh", "apps.train_vgg", "--dataset=cifar10.npz"),
            *("--depth=11", "--width=2", "--batch_size=8", "--steps=4", "--workdir=r"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ
        | {
            "KERAS_BACKEND": keras.backend.backend(),
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
            "PIP_NO_INDEX": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    assert (packed / "site" / "keras_bnsmooth").is_dir()
    assert (packed / "r" / "result.json").exists()
