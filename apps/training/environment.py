"""What a run was made with: versions, device and code revision."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import keras

import keras_bnsmooth
from apps.training.devices import gpus

# Whose versions decide the numbers, beside Keras and NumPy.
_BACKEND_PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-datasets"),
    "jax": ("jax", "jaxlib"),
    "torch": ("torch",),
}


def describe():
    """Returns versions, device and code revision as a dict of JSON types."""
    backend = keras.backend.backend()
    packages = ("keras", "numpy", *_BACKEND_PACKAGES[backend])
    return {
        "versions": {
            "python": platform.python_version(),
            "keras_bnsmooth": keras_bnsmooth.__version__,
            **{name: _version(name) for name in packages},
        },
        "backend": backend,
        "device": _device(),
        "revision": _revision(),
    }


def _device():
    names = gpus()
    if names:
        return ", ".join(names)
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        for line in cpus.read_text().splitlines():
            if line.startswith("model name"):
                return f"CPU, {line.partition(':')[2].strip()}"
    return f"CPU, {platform.processor() or platform.machine()}"


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _revision():
    """The git commit of this code, or None where it is installed without git."""
    here = Path(__file__).resolve()

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", str(here.parent), *arguments],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        # A package inside somebody else's checkout is not that checkout's code.
        git("ls-files", "--error-unmatch", str(here))
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("-changed" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
