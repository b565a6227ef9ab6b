"""Memory of this machine, checked before something large is computed."""

import os
from pathlib import Path

import numpy as np

from apps.errors import UserError

# What Linux and its containers say, each the first number in a file.
_AVAILABLE = Path("/proc/meminfo"), "MemAvailable:"
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def available():
    """Returns the bytes of memory that are free, or all that the machine has."""
    path, name = _AVAILABLE
    free = None
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith(name):
            free = 1024 * int(line.split()[1])
    if free is None and not hasattr(os, "sysconf"):  # Windows
        return float("inf")
    if free is None:
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _CONTAINER.read_text().strip() if _CONTAINER.exists() else ""
    return min(free, int(limit)) if limit.isdigit() else free


def check(needed, what, remedy):
    """Raises a UserError if something needs more memory than there is.

    Args:
        needed: Bytes that it needs at least.
        what: What needs them.
        remedy: What to do.
    """
    free = available()
    if needed > free:
        raise UserError(
            f"{what} needs at least {needed / 1e9:,.1f} GB of memory, and this machine "
            f"has {free / 1e9:,.1f} GB; {remedy}."
        )


def of_vgg(image_shape, classes, width, batch_size):
    """Returns the bytes that training a VGG takes at least, in float32.

    These are the largest weights, of three convolutions and of the logits, and their
    gradients, and the outputs of the first convolution and of the network.

    Args:
        image_shape: (height, width, channels).
        classes: Number of logits.
        width: Filters of the first block.
        batch_size: Images per batch.
    """
    weights = 3 * 9 * (8 * width) ** 2 + 8 * width * classes
    outputs = batch_size * (image_shape[0] * image_shape[1] * width + classes)
    return 4 * (2 * weights + outputs)


def of_dln(depth, dim, samples, dtype):
    """Returns the bytes that training a deep linear network takes at least.

    These are the teacher, the weights and their gradients; inputs, targets and the
    outputs of all layers.

    Args:
        depth: Number of layers.
        dim: Units per layer.
        samples: Samples in the batch.
        dtype: Of all numbers.
    """
    numbers = (1 + 2 * depth) * dim**2 + (2 + depth) * samples * dim
    return numbers * np.dtype(dtype).itemsize
