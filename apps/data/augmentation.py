"""Random crops and flips, the augmentation of the paper's 92 % / 88 % setting."""

import numpy as np


def crop_and_flip(images, rng, padding=4):
    """Shifts every image by up to `padding` pixels and mirrors half of them.

    Args:
        images: [n, height, width, channels]; what is shifted in is zero.
        rng: `numpy.random.Generator`.
        padding: Zeros that are added at each side before the crop.

    Returns:
        Images of the same shape and dtype.
    """
    n, height, width, _ = images.shape
    margin = (padding, padding)
    padded = np.pad(images, ((0, 0), margin, margin, (0, 0)))
    top, left = rng.integers(0, 2 * padding + 1, size=(2, n, 1))
    rows = top + np.arange(height)
    columns = left + np.arange(width)
    flipped = rng.integers(0, 2, size=n).astype(bool)
    columns[flipped] = columns[flipped, ::-1]
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
