"""Packs the full-width VGG runs for a GPU machine without TensorFlow or a network.

    python -m apps.pack --output=packed --data=cifar10.npz --python_version=3.12

makes a folder with wheels of this package and of what the other machine lacks, the
images and `run.sh`. Copy it there, where Python has JAX (or torch:
--backend=torch), and start it:

    bash packed/run.sh                                  # all, into packed/results.tgz
    bash packed/run.sh apps.reproduce --jobs=3 --minutes=9
    bash packed/run.sh apps.benchmarks.gpu

The runs are those of `apps.reproduce --preset=paper --network=vgg`: width 64, 15,000
steps, batch 128, every norm, three seeds, with all probes. The same command goes on
with runs that were stopped.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import flags

import keras_bnsmooth
from apps import program

FLAGS = flags.FLAGS

flags.DEFINE_string("output", "packed", "The folder to make.")
flags.DEFINE_string(
    "data",
    None,
    "The images: an .npz, or a folder with a smaller archive and the script "
    "prepare.py that makes it there (`prepare.py --npz FILE`).",
    required=True,
)
flags.DEFINE_enum("backend", "jax", ["jax", "torch"], "What the other machine has.")
flags.DEFINE_string("python_version", "3.12", "Of the other machine.")
flags.DEFINE_list(
    "platforms",
    "manylinux_2_28_x86_64,manylinux_2_27_x86_64,manylinux_2_17_x86_64,"
    "manylinux2014_x86_64",
    "Of the other machine, as pip calls them.",
)
flags.DEFINE_list(
    "packages",
    "keras,namex,optree",
    "What the other machine lacks, as pip takes it. Beside its backend it needs what "
    "keras and this package depend on.",
)

_SOURCE = Path(keras_bnsmooth.__file__).parents[1]
_TEMPLATE = Path(__file__).with_name("pack_run.sh")


def pip(*arguments):
    """Runs pip, and turns its failure into a line."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
        raise ValueError(f"pip {arguments[0]} failed: {' '.join(errors)}")


def collect_wheels(folder):
    """Puts the wheels of this package and of the `--packages` into `folder`."""
    if not (_SOURCE / "pyproject.toml").exists():
        raise ValueError(f"{_SOURCE} is no source of this package; run it in a clone.")
    with tempfile.TemporaryDirectory() as copy:
        # Building in the source would leave files there that the next wheel takes in.
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(_SOURCE / name, copy)
        for name in ("keras_bnsmooth", "apps"):
            shutil.copytree(_SOURCE / name, Path(copy, name))
        pip("wheel", "--no-deps", "--wheel-dir", folder, copy)
    # From here on for a machine that is not this one.
    target = ["--python-version", FLAGS.python_version, "--implementation", "cp"]
    for platform in FLAGS.platforms:
        target += ["--platform", platform]
    options = ["--no-deps", "--only-binary=:all:", "--dest", folder]
    pip("download", *options, *target, *FLAGS.packages)


def copy_data(folder):
    """Puts the images, or what makes them, into `folder`."""
    data = Path(FLAGS.data)
    if data.suffix == ".npz" and data.is_file():
        shutil.copyfile(data, folder / "cifar10.npz")
    elif (data / "prepare.py").is_file():
        # Their bytes alone: where they may not be changed, the copy still may.
        (folder / "data").mkdir()
        for file in filter(Path.is_file, data.iterdir()):
            shutil.copyfile(file, folder / "data" / file.name)
    else:
        raise ValueError(f"--data={data} is no .npz and no folder with a prepare.py.")


def fill(folder):
    """Makes the folder with all that is in it."""
    folder.mkdir()
    copy_data(folder)
    collect_wheels(folder / "wheels")
    script = _TEMPLATE.read_text().replace("@BACKEND@", FLAGS.backend)
    (folder / "run.sh").write_text(script)


def main():
    """Makes the folder, whole or not at all."""
    folder = Path(FLAGS.output)
    if folder.exists():
        raise ValueError(f"--output={folder} is there already; pass a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        fill(Path(partial, folder.name))
        os.replace(Path(partial, folder.name), folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder} holds {size / 2**20:.0f} MiB; `bash run.sh` there runs it all.")


if __name__ == "__main__":
    program.run(main)
