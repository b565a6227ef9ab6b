"""The folder for a machine without a network, and what runs from it."""

import os
import shutil
import subprocess
import sys
import tarfile

import keras
import numpy as np
import pytest

from tests.apps.run_app import error_of, run_app


def test_mistakes_end_in_one_line(tmp_path):
    output = f"--output={tmp_path}/packed"
    done = run_app("pack", output, f"--data={tmp_path}")
    assert "is neither an .npz nor a folder with a prepare.py" in error_of(done)
    assert not list(tmp_path.iterdir())
    done = run_app("pack", f"--output={tmp_path}", "--data=images.npz")
    assert "already exists" in error_of(done)


SMALL = ("--depth=11", "--width=2", "--batch_size=8", "--steps=4")


@pytest.mark.slow
def test_a_packed_folder_trains_from_its_source_and_wheels_alone(tmp_path):
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

    def run_there(*arguments):
        python = os.path.dirname(sys.executable)
        done = subprocess.run(
            ["bash", packed / "run.sh", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=os.environ
            | {
                "KERAS_BACKEND": keras.backend.backend(),
                "PATH": f"{python}:{os.environ['PATH']}",
                "PIP_NO_INDEX": "1",
            },
        )
        assert done.returncode == 0, done.stderr
        return done

    run_there("apps.train_vgg", "--dataset=cifar10.npz", *SMALL, "--workdir=r")
    # Not from the clone, which the test's own environment may have installed.
    for module in ("apps.program", "keras_bnsmooth.backend"):
        done = run_there("inspect", "--details", module)
        assert f"Origin: {packed / 'source'}/" in done.stdout
    assert [path.name for path in (packed / "site").glob("namex")] == ["namex"]
    assert not list(packed.rglob("keras_bnsmooth*.whl"))
    assert (packed / "r" / "result.json").exists()
    shutil.copytree(packed / "r", packed / "paper" / "vgg16_bn_seed0")
    (packed / "paper" / "run_flags.txt").write_text("--dataset=cifar10.npz")
    done = run_there("apps.reproduce", "--minutes=0.001")
    assert "44 runs in paper, 1 of them finished" in done.stdout
    assert "43 runs are left" in done.stdout
    with tarfile.open(packed / "results.tgz") as results:
        names = results.getnames()
    assert "paper/vgg16_bn_seed0/metrics.jsonl" in names
    assert "paper_report/report.html" in names
    assert not [name for name in names if name.endswith((".keras", ".npz"))]
