"""Command-line programs: `python -m apps.NAME --help`.

What these variables say must be known before the backend is imported, and what the
user has set stands.
"""

import os
import sys

# Two to three times faster convolutions on a CPU without AVX-512, where TensorFlow
# leaves its oneDNN kernels off.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Take the GPU's memory as it is needed, so that others can use the GPU too.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# TensorFlow's log would bury the progress of a run; its errors raise all the same.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

try:
    import keras_bnsmooth  # noqa: F401 - it checks that Keras has its backend
except ImportError as error:
    sys.exit(f"Error: {error}")
