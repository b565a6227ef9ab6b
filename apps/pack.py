"""Packs the full-width VGG runs for a GPU machine without TensorFlow or a network.

    python -m apps.pack --output=packed --data=cifar10.npz --python_version=3.12

This creates a folder with the source of the library and the programs, wheels of the
packages that the other machine lacks, the images and `run.sh`. Copy it to a machine
whose Python has JAX (or torch: --backend=torch), and start it:

    bash packed/run.sh                                  # all, into packed/results.tgz
    bash packed/run.sh apps.reproduce --jobs=3 --minutes=9
    bash packed/run.sh apps.benchmarks.gpu

The runs are those of `apps.reproduce --preset=paper --network=vgg`: width 64, 15,000
steps, batch 128, every norm, three seeds, with all probes, then the sweep over learning
rates and the other readings. Rerun the same command to resume stopped runs.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import flags

import apps
import keras_bnsmooth
from apps import program
from apps.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_string("output", "packed", "The folder to create.")
flags.DEFINE_string(
    "data",
    None,
    "The images: an .npz, or a folder with a smaller archive and a script prepare.py "
    "that converts it there (`prepare.py --npz FILE`).",
    required=True,
)
flags.DEFINE_enum("backend", "jax", ["jax", "torch"], "Backend of the other machine.")
flags.DEFINE_string("python_version", "3.12", "Python version of the other machine.")
flags.DEFINE_list(
    "platforms",
    "manylinux_2_28_x86_64,manylinux_2_27_x86_64,manylinux_2_17_x86_64,"
    "manylinux2014_x86_64",
    "Platforms of the other machine, in pip's terms.",
)
flags.DEFINE_list(
    "packages",
    "keras,namex,optree",
    "Packages that the other machine lacks, as arguments for pip. Besides its backend, "
    "it needs the requirements of Keras and of the library and programs.",
)

_TEMPLATE = Path(__file__).with_name("pack_run.sh")


def download_wheels(folder):
    """Downloads wheels of the `--packages` for the other machine into `folder`."""
    target = ["--python-version", FLAGS.python_version, "--implementation", "cp"]
    for platform in FLAGS.platforms:
        target += ["--platform", platform]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, *target, *FLAGS.packages],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
        raise UserError(f"pip download failed: {' '.join(errors)}")


def copy_source(folder):
    """Copies the library and the programs into `folder`."""
    for package in (keras_bnsmooth, apps):
        source = Path(package.__file__).parent
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / source.name, ignore=ignore)


def copy_data(folder):
    """Copies the images, or the script and archive for them, into `folder`."""
    data = Path(FLAGS.data)
    if data.suffix == ".npz" and data.is_file():
        shutil.copyfile(data, folder / "cifar10.npz")
    elif (data / "prepare.py").is_file():
        # Without their permissions, so that copies of read-only files are writable.
        (folder / "data").mkdir()
        for file in filter(Path.is_file, data.iterdir()):
            shutil.copyfile(file, folder / "data" / file.name)
    else:
        raise UserError(
            f"--data={data} is neither an .npz nor a folder with a prepare.py."
        )


def main():
    """Creates the folder, whole or not at all."""
    folder = Path(FLAGS.output)
    if folder.exists():
        raise UserError(f"--output={folder} already exists; pass a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        partial = Path(temporary, folder.name)
        partial.mkdir()
        copy_data(partial)
        copy_source(partial / "source")
        download_wheels(partial / "wheels")
        script = _TEMPLATE.read_text().replace("@BACKEND@", FLAGS.backend)
        (partial / "run.sh").write_text(script)
        os.replace(partial, folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder} holds {size / 2**20:.0f} MiB; `bash run.sh` there runs it all.")


if __name__ == "__main__":
    program.run(main)
