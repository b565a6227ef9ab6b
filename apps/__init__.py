"""Programs that reproduce the paper: `python -m apps.NAME --help`.

Backends read these environment variables when imported. Values that the user has set
take precedence.
"""

import os
import signal
import sys

# An interruption while libraries are imported ends the program without a traceback.
# (Python sets argv[0] to "-m" while it looks for the program.)
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# Two to three times faster convolutions on CPUs without AVX-512, where TensorFlow
# disables its oneDNN kernels by default.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Allocate GPU memory on demand, so that the GPU can be shared.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# TensorFlow's log would bury the progress of a run; errors are raised regardless.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

try:
    import keras_bnsmooth  # noqa: F401 - checks that Keras' backend is installed
except ImportError as error:
    sys.exit(f"Error: {error}")
