"""The handwritten digits that ship with scikit-learn: nothing to download."""

import numpy as np

from apps.data.data_set import DataSet

_ENLARGED = 4


def load_digits(test_images=360):
    """Returns 1,797 grey images of 32 x 32 pixels, `test_images` of them for testing.

    The originals of 8 x 8 pixels, each pixel four times as large: three poolings would
    leave one pixel, on which a 3 x 3 kernel has a ninth of its weights, and a VGG
    without normalization would not train.
    """
    # scikit-learn takes a second to import, and no other data set needs it.
    from sklearn import datasets

    digits = datasets.load_digits()
    x = digits.images[..., np.newaxis].astype("uint8")
    x = x.repeat(_ENLARGED, axis=1).repeat(_ENLARGED, axis=2)
    y = digits.target.astype("int32")
    order = np.random.default_rng(0).permutation(len(x))
    test, train = np.split(order, [test_images])
    return DataSet(
        name="digits",
        x_train=x[train],
        y_train=y[train],
        x_test=x[test],
        y_test=y[test],
        num_classes=10,
        provenance="handwritten digits of scikit-learn, enlarged to 32 x 32 pixels",
    )
