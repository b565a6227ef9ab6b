"""The batch of step t as a function of (seed, t) alone.

There is no iterator state to save: a run can be stopped and resumed at any step, and a
probe can request the very batch that training sees at a step.
"""

import functools
import itertools

import numpy as np

from apps.errors import UserError

# One stream of random numbers per use, so that turning augmentation on does not change
# the order of the images.
_ORDER, _AUGMENT = 0, 1


class Batches:
    """Standardized batches of a labelled image data set.

    Every epoch is a new permutation of all images. Images that do not fill a last batch
    are left out of that epoch, so that all batches have the same shape.

    Args:
        x: Images [n, height, width, channels], integers or floats.
        y: Labels [n].
        batch_size: Images per batch, 1 to n.
        seed: Non-negative integer.
        mean: Channel means [channels] to subtract.
        std: Channel standard deviations [channels] to divide by.
        augment: Whether to crop (after padding by 4 pixels) and flip at random, the
            augmentation of the paper's 92 % / 88 % setting.

    Raises:
        UserError: `batch_size` is not between 1 and n.

    Example:
    ```python
    data = load("digits")
    mean, std = data.channel_moments()
    batches = Batches(data.x_train, data.y_train, 128, seed=0, mean=mean, std=std)
    x, y = batches(step=17)                     # float32 [128, 32, 32, 1], int32 [128]
    model.fit(batches.stream(first_step=0), steps_per_epoch=100)
    ```
    """

    def __init__(self, x, y, batch_size, seed, mean=0.0, std=1.0, augment=False):
        if not 1 <= batch_size <= len(x):
            raise UserError(
                f"batch_size must be from 1 to the {len(x)} training images; "
                f"received {batch_size}."
            )
        self._x = x
        self._y = y
        self._seed = seed
        # Image-sized, because NumPy is ten times slower when it has to broadcast three
        # channels at every pixel, and a GPU would wait for that.
        self._mean = np.full(x.shape[1:], mean, "float32")
        self._inverse_std = np.full(x.shape[1:], 1 / np.float32(std), "float32")
        self._augment = augment
        self.batch_size = batch_size
        self.steps_per_epoch = len(x) // batch_size
        # Training reads one epoch while a probe may look back into the previous one.
        self._permutation = functools.lru_cache(maxsize=2)(self._permutation)

    def __call__(self, step):
        """Returns the images (float32) and labels of the batch of step `step`."""
        epoch, index = divmod(step, self.steps_per_epoch)
        start = index * self.batch_size
        chosen = self._permutation(epoch)[start : start + self.batch_size]
        images = self._x[chosen]
        if self._augment:
            rng = np.random.default_rng([self._seed, _AUGMENT, step])
            images = crop_and_flip(images, rng)
        return self.standardize(images), self._y[chosen]

    def stream(self, first_step=0):
        """Yields the batches of `first_step`, `first_step + 1`, ... forever."""
        # The only kind of iterator that Keras accepts is a generator.
        for step in itertools.count(first_step):
            yield self(step)

    def standardize(self, images):
        """Returns (images - mean) / std in float32."""
        images = images.astype("float32")
        images -= self._mean
        images *= self._inverse_std
        return images

    def _permutation(self, epoch):
        rng = np.random.default_rng([self._seed, _ORDER, epoch])
        return rng.permutation(len(self._x))


def crop_and_flip(images, rng, padding=4):
    """Shifts every image by up to `padding` pixels and mirrors half of them.

    Args:
        images: [n, height, width, channels]; zeros are shifted in.
        rng: `numpy.random.Generator`.
        padding: Zeros to add on each side before cropping.

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
