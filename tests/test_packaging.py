"""What users install, and what one import of it does."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import keras
import pytest

import keras_bnsmooth as kb

ROOT = Path(__file__).parents[1]


def run_python(code, *arguments):
    """Returns what `code` prints as JSON in a process that imported nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # From a copy: a build leaves files behind that the next wheel would include.
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("keras_bnsmooth", "apps", "tests"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, source],
        check=True,
    )
    (path,) = folder.glob("keras_bnsmooth-*-py3-none-any.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.mark.slow
def test_the_wheel_holds_the_library_alone(wheel):
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        str(path.relative_to(ROOT)) for path in ROOT.glob("keras_bnsmooth/**/*.py")
    }
    assert files == expected | {"keras_bnsmooth/py.typed"}


@pytest.mark.slow
def test_the_wheel_requires_little(wheel):
    (metadata,) = (n for n in wheel.namelist() if n.endswith("/METADATA"))
    lines = wheel.read(metadata).decode().splitlines()
    required = {
        line.removeprefix("Requires-Dist: ")
        for line in lines
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    }
    with open(ROOT / "pyproject.toml", "rb") as file:
        declared = tomllib.load(file)["project"]["dependencies"]
    assert required == set(declared)
    names = {requirement.split(">=")[0] for requirement in required}
    assert names == {"keras", "ml_dtypes", "numpy", "tensorboard"}


# Keras itself imports what it finds installed, matplotlib and JAX among it.
NEWLY_IMPORTED = """
import json, sys
import keras
before = set(sys.modules)
import keras_bnsmooth
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_import_is_light():
    imported = run_python(NEWLY_IMPORTED)
    assert "keras_bnsmooth.callbacks" in imported
    heavy = ("apps", "jax", "matplotlib", "pandas", "sklearn", "tensorboard")
    heavy += ("tensorflow", "torch")
    # What the backend itself loads late is no second backend.
    heavy = [name for name in heavy if name != keras.backend.backend()]
    assert not [name for name in imported if name.split(".")[0] in heavy]


def test_a_saved_model_loads_after_one_import(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kb.NoisyBatchNormalization(n_mu=0.25, seed=1),
            kb.LpNormalization(p=1),
            kb.ActivationNoise(seed=2),
        ]
    )
    model.save(tmp_path / "model.keras")
    code = """
import json, sys
import keras_bnsmooth
import keras
model = keras.models.load_model(sys.argv[1])
print(json.dumps([type(layer).__name__ for layer in model.layers]))
"""
    assert run_python(code, tmp_path / "model.keras") == [
        "NoisyBatchNormalization",
        "LpNormalization",
        "ActivationNoise",
    ]


PUBLIC = {
    kb: {
        "ActivationNoise",
        "ActivationProbe",
        "AtSteps",
        "EveryN",
        "ICSProbe",
        "LandscapeProbe",
        "LogSpaced",
        "LpNormalization",
        "NoisyBatchNormalization",
        "ProbeCallback",
        "Successive",
        "callbacks",
        "layers",
        "models",
        "plots",
        "probes",
    },
    kb.layers: {"ActivationNoise", "LpNormalization", "NoisyBatchNormalization"},
    kb.callbacks: {
        "ActivationProbe",
        "AtSteps",
        "EveryN",
        "ICSProbe",
        "LandscapeProbe",
        "LogSpaced",
        "ProbeCallback",
        "Successive",
    },
    kb.models: {"dln", "vgg"},
    kb.plots: {"activations", "covariate_shift", "landscape"},
    kb.probes: {"activations", "internal_covariate_shift", "landscape"},
}


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_public_names_stay(module):
    assert PUBLIC[module] <= set(module.__all__)
    for name in module.__all__:
        assert hasattr(module, name)
