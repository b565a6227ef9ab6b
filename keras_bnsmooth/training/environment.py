"""What a run was made with: versions, device and code revision."""

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

import keras

import keras_bnsmooth

_PACKAGES = ("keras", "numpy", "tensorflow", "tensorflow-datasets")


def use_xla(choice, on_cpu=False):
    """Returns whether to compile with XLA.

    Args:
        choice: `"on"`, `"off"`, or `"auto"`, which is on where there is a GPU, and
            on a CPU what `on_cpu` says: XLA's convolutions are several times slower
            there than oneDNN's.
        on_cpu: Whether XLA is the faster one on a CPU.
    """
    if choice == "auto":
        return on_cpu or bool(_gpus())
    return choice == "on"


def describe():
    """Returns versions, device and code revision as a dict of JSON types."""
    return {
        "versions": {
            "python": platform.python_version(),
            "keras_bnsmooth": keras_bnsmooth.__version__,
            **{name: _version(name) for name in _PACKAGES},
        },
        "backend": keras.backend.backend(),
        "device": _device(),
        "revision": _revision(),
    }


def _gpus():
    return keras.distribution.list_devices("gpu")


def _device():
    gpus = _gpus()
    if gpus:
        return ", ".join(gpus)
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


def command_line():
    """Returns the command that this process was started with."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"python -m {spec.name}" if spec else f"python {sys.argv[0]}"
    return " ".join([program, *sys.argv[1:]])
