"""Command-line programs: `python -m apps.NAME --help`.

What these variables say must be known before TensorFlow is imported, and what the
user has set stands.
"""

import os

# Two to three times faster convolutions on a CPU without AVX-512, where TensorFlow
# leaves its oneDNN kernels off.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Take the GPU's memory as it is needed, so that others can use the GPU too.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# TensorFlow's log would bury the progress of a run; its errors raise all the same.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
