"""The batch of step t as a function of (seed, t) alone.

No iterator state exists that would have to be saved: a run stops and goes on
anywhere, and a probe asks for the very batch that training sees at a step.
"""

import functools
import itertools

import numpy as np

from apps.data.augmentation import crop_and_flip

# One stream of random numbers for each use, so that switching augmentation on
# leaves the order of the images as it was.
_ORDER, _AUGMENT = 0, 1


class Batches:
    """Standardized batches of a labelled image data set.

    Every epoch is a permutation of its own of all images; what does not fill a
    last batch waits for a later epoch, so that all batches have one shape.

    Args:
        x: Images [n, height, width, channels], integers or floats.
        y: Labels [n].
        batch_size: Images in a batch, 1 to n.
        seed: Non-negative integer.
        mean: Channel means [channels] that are subtracted.
        std: Channel standard deviations [channels] that are divided by.
        augment: Whether to crop (after padding by 4 pixels) and flip at random.

    Raises:
        ValueError: `batch_size` is not between 1 and n.

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
            raise ValueError(
                f"batch_size must be from 1 to the {len(x)} training images; "
                f"received {batch_size}."
            )
        self._x = x
        self._y = y
        self._seed = seed
        # As large as an image: NumPy takes ten times as long over an image if it has
        # to repeat three channels at every pixel, and a GPU would wait for that.
        self._mean = np.full(x.shape[1:], mean, "float32")
        self._inverse_std = np.full(x.shape[1:], 1 / np.float32(std), "float32")
        self._augment = augment
        self.batch_size = batch_size
        self.steps_per_epoch = len(x) // batch_size
        # Training reads one epoch while a probe may look back into another.
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
        """Yields the batches of `first_step`, `first_step + 1`, ... without end."""
        # A generator, since of iterators Keras takes no other.
        for step in itertools.count(first_step):
            yield self(step)

    def standardize(self, images):
        """Returns `images` in float32, with mean subtracted and divided by std."""
        images = images.astype("float32")
        images -= self._mean
        images *= self._inverse_std
        return images

    def _permutation(self, epoch):
        rng = np.random.default_rng([self._seed, _ORDER, epoch])
        return rng.permutation(len(self._x))
