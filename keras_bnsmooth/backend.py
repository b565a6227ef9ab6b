"""Checks the backend that Keras will use before Keras is imported.

Keras imports its backend along with itself. If the backend is not installed, that fails
deep inside Keras with a traceback that names no remedy.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

# Each is also the name of the extra that installs it.
BACKENDS = ("tensorflow", "jax", "torch")


def check() -> None:
    """Checks that the backend that Keras will use is installed, without importing it.

    Raises:
        ImportError: It is not installed, or cannot train; one line says what to do.
    """
    source, name = _chosen()
    installed = [backend for backend in BACKENDS if _is_installed(backend)]
    if name in installed:
        return
    if name in BACKENDS:
        problem = "which is not installed"
        remedies = [f'pip install "keras-bnsmooth[{name}]"']
    else:
        problem = f"which is none of {', '.join(BACKENDS)}"
        remedies = []
    if installed:
        remedies.append(
            f"set KERAS_BACKEND to one that is installed: {', '.join(installed)}"
        )
    elif not remedies:
        remedies.append(
            'set KERAS_BACKEND to one of these and pip install "keras-bnsmooth[NAME]"'
        )
    raise ImportError(f"{source} is {name!r}, {problem}; {' or '.join(remedies)}.")


def process_index() -> int:
    """Returns the index of this process among those that train one model.

    Always 0 except on JAX, where several processes can train one model.
    """
    jax = sys.modules.get("jax")
    return jax.process_index() if jax and jax.distributed.is_initialized() else 0


def _chosen():
    """Returns where the choice comes from and the name, with Keras' precedence."""
    name = os.environ.get("KERAS_BACKEND")
    if name:
        return "KERAS_BACKEND", name
    file = _keras_home() / "keras.json"
    if file.exists():
        try:
            return f"the backend in {file}", json.loads(file.read_text())["backend"]
        except (ValueError, KeyError):
            pass  # Keras uses its default then.
    return "the default backend of Keras", "tensorflow"


def _keras_home():
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = Path.home()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"


def _is_installed(package):
    spec = importlib.util.find_spec(package)
    # A plain folder of that name, which Python treats as a namespace, has no origin.
    return spec is not None and spec.origin is not None
