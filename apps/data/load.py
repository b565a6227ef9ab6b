"""A data set by name or by path."""

from apps.data.array_file import load_array_file
from apps.data.cifar10 import load_cifar10
from apps.data.digits import load_digits


def load(name, data_dir=None):
    """Returns the `DataSet` called `name`.

    Args:
        name: `"digits"`, `"cifar10"` or the path of an `.npz` file with the arrays
            `x_train`, `y_train`, `x_test` and `y_test`.
        data_dir: Where TensorFlow Datasets keeps its data sets; None takes
            `TFDS_DATA_DIR` or `~/tensorflow_datasets`.

    Raises:
        ValueError: There is no such data set, or it cannot be used as it is.
    """
    if name == "digits":
        return load_digits()
    if name == "cifar10":
        return load_cifar10(data_dir)
    if str(name).endswith(".npz"):
        return load_array_file(name)
    raise ValueError(
        f"dataset must be digits, cifar10 or the path of an .npz file; received {name}."
    )
