"""Backends that are not installed, in a process that cannot see the real ones."""

import os
import subprocess
import sys

import pytest

# Python runs this module at its start.
HIDE_THE_REAL_ONES = """
import importlib.machinery, os, sys

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in ("tensorflow", "jax", "torch"):
            path = [os.environ["PYTHONPATH"]]
        return super().find_spec(name, path, target)

finders = sys.meta_path
finders[finders.index(importlib.machinery.PathFinder)] = Finder
"""


@pytest.fixture
def python(tmp_path):
    """Runs Python with only the given backends, none of which can be imported."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "sitecustomize.py").write_text(HIDE_THE_REAL_ONES)
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    environment |= {"PYTHONPATH": str(packages), "KERAS_HOME": str(tmp_path)}

    def run(*arguments, installed=(), **variables):
        for name in installed:
            (packages / name).mkdir()
            (packages / name / "__init__.py").write_text("raise SystemExit('imported')")
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env=environment | variables,
        )

    return run


@pytest.mark.parametrize(
    "program",
    [
        "train_vgg",
        "train_dln",
        "check_theorems",
        # Those that do not compute import the library, and so its backend, too.
        "check_claims",
        "compare_runs",
        "pack",
        "reproduce",
        "sweep",
    ],
)
def test_a_program_ends_in_one_line(python, program):
    done = python(
        "-m", f"apps.{program}", installed=["torch"], KERAS_BACKEND="tensorflow"
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: KERAS_BACKEND is 'tensorflow', which is not installed; "
        'pip install "keras-bnsmooth[tensorflow]" or set KERAS_BACKEND to one that is '
        "installed: torch.\n"
    )


@pytest.mark.parametrize("package", ["layers", "probes", "callbacks", "models"])
def test_the_library_raises_import_error(python, package):
    done = python("-c", f"import keras_bnsmooth.{package}", KERAS_BACKEND="jax")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: KERAS_BACKEND is 'jax', which is not installed; "
        'pip install "keras-bnsmooth[jax]".'
    )


def test_without_any_backend_the_default_is_named(python):
    done = python("-c", "import keras_bnsmooth")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: the default backend of Keras is 'tensorflow', which is not "
        'installed; pip install "keras-bnsmooth[tensorflow]".'
    )


def test_an_unknown_backend_is_named(python):
    done = python(
        "-c", "import keras_bnsmooth", installed=["jax", "torch"], KERAS_BACKEND="mxnet"
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: KERAS_BACKEND is 'mxnet', which is none of tensorflow, jax, "
        "torch; set KERAS_BACKEND to one that is installed: jax, torch."
    )


def test_an_unknown_backend_beside_none_is_named(python):
    done = python("-c", "import keras_bnsmooth", KERAS_BACKEND="mxnet")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: KERAS_BACKEND is 'mxnet', which is none of tensorflow, jax, "
        "torch; set KERAS_BACKEND to one of these and pip install "
        '"keras-bnsmooth[NAME]".'
    )


def test_the_file_of_keras_counts_unless_the_variable_is_set(python, tmp_path):
    file = tmp_path / "keras.json"
    file.write_text('{"backend": "jax"}')
    done = python("-c", "import keras_bnsmooth", installed=["torch"])
    assert f"the backend in {file} is 'jax', which is not" in done.stderr
    # Keras then imports the one of the variable, which ends in this word.
    done = python("-c", "import keras_bnsmooth", KERAS_BACKEND="torch")
    assert done.stderr == "imported\n"


def test_a_mere_folder_of_that_name_is_no_backend(python, tmp_path):
    (tmp_path / "packages" / "jax").mkdir()
    done = python("-c", "import keras_bnsmooth", KERAS_BACKEND="jax")
    assert "which is not installed" in done.stderr
