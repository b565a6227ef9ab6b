"""A labelled image data set held in memory."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class DataSet:
    """Images and labels, for training and for testing.

    Attributes:
        name: What the user asked for, such as `"cifar10"`.
        x_train: Images [n, height, width, channels], integers or floats.
        y_train: Labels [n], int32 from 0 to `num_classes - 1`.
        x_test: Images [m, height, width, channels].
        y_test: Labels [m], int32.
        num_classes: Number of classes.
        provenance: Where the images come from, quoted beside every result.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int
    provenance: str

    @property
    def image_shape(self):
        """The shape of one image: (height, width, channels)."""
        return self.x_train.shape[1:]

    def channel_moments(self):
        """Mean and standard deviation of the training images, each [channels].

        A constant channel gets the standard deviation 1, so that dividing by it
        is always possible.
        """
        x = self.x_train
        axes = tuple(range(x.ndim - 1))
        mean = x.mean(axes, dtype=np.float64)
        std = x.std(axes, dtype=np.float64)
        return mean.astype("float32"), np.where(std > 0, std, 1).astype("float32")
