"""Devices, precision, versions and code revision of this process."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import keras

import keras_bnsmooth
from apps.errors import UserError

# Packages besides Keras and NumPy whose versions affect the numbers.
_BACKEND_PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-datasets"),
    "jax": ("jax", "jaxlib"),
    "torch": ("torch",),
}


def default_precision():
    """Returns the highest precision that Keras supports on the backend."""
    return "float64" if keras.backend.backend() == "tensorflow" else "float32"


def set_precision(dtype):
    """Makes Keras and its backend compute in `dtype`, `"float32"` or `"float64"`.

    Raises:
        UserError: `dtype` is float64 and the backend is not TensorFlow. On the others
            Keras rounds means, losses and normalizations to float32.
    """
    backend = keras.backend.backend()
    if dtype == "float64" and backend != "tensorflow":
        raise UserError(
            f"float64 is not supported on the {backend} backend, where Keras rounds to "
            "float32; set KERAS_BACKEND to tensorflow, or pass --dtype=float32."
        )
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


def gpus():
    """Returns the names of the backend's GPUs, such as `"NVIDIA H100 80GB HBM3"`."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from tensorflow import config

        details = config.experimental.get_device_details
        devices = config.list_physical_devices("GPU")
        return [details(gpu).get("device_name", gpu.name) for gpu in devices]
    if backend == "jax":
        import jax

        return [gpu.device_kind for gpu in jax.devices() if gpu.platform == "gpu"]
    from torch import cuda

    return [cuda.get_device_name(number) for number in range(cuda.device_count())]


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
        "device": ", ".join(gpus()) or f"CPU, {_cpu()}",
        "revision": _revision(),
    }


def _cpu():
    cpus = Path("/proc/cpuinfo")
    for line in cpus.read_text().splitlines() if cpus.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _revision():
    """The git commit of this code, or None if it is not in a git checkout."""
    here = Path(__file__).resolve()

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", str(here.parent), *arguments],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        # This file may lie in a checkout that it is not part of.
        git("ls-files", "--error-unmatch", str(here))
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("-changed" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
