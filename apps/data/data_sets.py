"""Labelled images by name or path, and the regression problem of the DLN."""

import dataclasses
import hashlib
import threading
import urllib.request

import numpy as np

from apps.data.array_files import read_arrays
from apps.errors import UserError, one_line
from apps.json_objects import is_text, read_object


@dataclasses.dataclass(frozen=True)
class DataSet:
    """Training and test images with labels, in memory.

    Attributes:
        name: Name or path that the user passed, such as `"cifar10"`.
        x_train: Images [n, height, width, channels], integers or floats.
        y_train: Labels [n], int32 from 0 to `num_classes - 1`.
        x_test: Images [m, height, width, channels].
        y_test: Labels [m], int32.
        num_classes: Number of classes.
        provenance: Origin of the images, quoted next to every result.
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
        """Shape of one image: (height, width, channels)."""
        return self.x_train.shape[1:]

    def checksum(self):
        """Returns a SHA-256 of all images and labels."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    def channel_moments(self):
        """Returns mean and standard deviation of the training images, each [channels].

        The standard deviation of a constant channel is set to 1, so that dividing by
        it is safe.
        """
        axes = tuple(range(self.x_train.ndim - 1))
        mean = self.x_train.mean(axes, dtype=np.float64)
        std = self.x_train.std(axes, dtype=np.float64)
        return mean.astype("float32"), np.where(std > 0, std, 1).astype("float32")


def load(name, data_dir=None):
    """Loads a data set by name or path.

    Args:
        name: `"digits"`, `"cifar10"` or the path of an `.npz` file, see
            `load_array_file`.
        data_dir: Directory of TensorFlow Datasets; defaults to `TFDS_DATA_DIR` or
            `~/tensorflow_datasets`.

    Returns:
        A `DataSet`.

    Raises:
        UserError: There is no such data set, or it cannot be used.
    """
    if name == "digits":
        return load_digits()
    if name == "cifar10":
        return load_cifar10(data_dir)
    if str(name).endswith(".npz"):
        return load_array_file(name)
    raise UserError(
        f"dataset must be digits, cifar10 or the path of an .npz file; received {name}."
    )


def load_digits(test_images=360):
    """Returns scikit-learn's handwritten digits, which need no download.

    These are 1,797 gray images, enlarged from 8 x 8 to 32 x 32 pixels: at the original
    size three poolings would leave one pixel, where a 3 x 3 kernel uses a ninth of its
    weights, and a VGG without normalization would not train.
    """
    # scikit-learn takes a second to import, and no other data set needs it.
    from sklearn import datasets

    digits = datasets.load_digits()
    x = digits.images[..., np.newaxis].astype("uint8").repeat(4, 1).repeat(4, 2)
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


# What a copy that is not the original says, in `provenance.json`.
_MARK = {"provenance": is_text}
_CIFAR10_SERVER = "https://www.cs.toronto.edu/"
# Seconds in which the server must answer.
_PATIENCE = 12.0


def load_cifar10(data_dir=None):
    """Loads CIFAR-10, 50,000 + 10,000 color images, through TensorFlow Datasets.

    Files in the ArrayRecord format, in which this function prepares the data set, are
    read by `tfds.data_source`, without TensorFlow. Preparing it takes TensorFlow, and
    so does reading a copy in the TFRecord format, the default of TensorFlow Datasets.

    Args:
        data_dir: Directory of TensorFlow Datasets; defaults to `TFDS_DATA_DIR` or
            `~/tensorflow_datasets`.

    Raises:
        UserError: CIFAR-10 is missing and cannot be downloaded, or a package that
            reads it is not installed.
    """
    try:
        import tensorflow_datasets as tfds  # slow to import
    except ImportError as error:
        raise UserError(
            f"CIFAR-10 is read through TensorFlow Datasets, which cannot be imported "
            f"({error}); pip install tensorflow-datasets importlib_resources, or pass "
            "--dataset=FILE.npz."
        ) from error
    tfds.disable_progress_bar()
    builder = tfds.builder("cifar10", data_dir=data_dir)
    if not builder.is_prepared():
        builder = tfds.builder("cifar10", data_dir=data_dir, file_format="array_record")
        downloads = builder.data_path.parent.parent / "downloads"
        try:
            if not any(downloads.glob("*cifar-10*")):
                _check_server()
            builder.download_and_prepare()
        except Exception as error:
            # TFDS lets through whatever its downloader raises; the remedy is the same.
            raise UserError(
                f"CIFAR-10 is not in {builder.data_path.parent.parent} and cannot be "
                f"downloaded and prepared ({type(error).__name__}), which takes a "
                "network and TensorFlow; set --data_dir or TFDS_DATA_DIR to where "
                "TensorFlow Datasets has it, or pass --dataset=FILE.npz."
            ) from error
    (x_train, y_train), (x_test, y_test) = (
        _read_split(builder, split) for split in ("train", "test")
    )
    # A copy that is not the original says so in this file.
    mark = builder.data_path / "provenance.json"
    return DataSet(
        name="cifar10",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        num_classes=10,
        provenance=one_line(read_object(mark, _MARK, required=_MARK)["provenance"])
        if mark.exists()
        else "CIFAR-10 as downloaded by TensorFlow Datasets",
    )


def _check_server():
    """Raises an OSError if CIFAR-10 cannot be downloaded.

    TensorFlow Datasets itself tries for minutes.
    """
    problem = [TimeoutError("no answer")]

    def ask():
        try:
            urllib.request.urlopen(_CIFAR10_SERVER, timeout=_PATIENCE).close()
            problem.clear()
        except OSError as error:
            problem[:] = [error]

    # A thread, because there is no time limit to looking up the server's address.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    if problem:
        raise problem[0]


def _read_split(builder, split):
    """Returns images and int32 labels, in the order of the files."""
    try:
        rows = builder.as_data_source(split)
        images = np.stack([row["image"] for row in rows])
        labels = [row["label"] for row in rows]
    except NotImplementedError:  # not a format with random access
        try:
            import tensorflow_datasets as tfds

            rows = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
        except ImportError as error:
            raise UserError(
                f"CIFAR-10 in {builder.data_path} is stored as "
                f"{builder.info.file_format.value}, which only TensorFlow reads; pip "
                'install tensorflow, prepare it with file_format="array_record", or '
                "pass --dataset=FILE.npz."
            ) from error
        images, labels = rows["image"], rows["label"]
    return images, np.asarray(labels, "int32")


_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load_array_file(path):
    """Loads the user's own images from an .npz file.

    Args:
        path: File with `x_train` [n, height, width(, channels)], `y_train` [n] or
            [n, 1], `x_test` and `y_test`; labels are integers from 0. An optional
            entry `provenance` is quoted next to the results.

    Returns:
        A `DataSet`.

    Raises:
        UserError: The file is missing or unreadable; an array is missing or has the
            wrong shape; or labels are not non-negative integers.
    """
    arrays = read_arrays(path, "pass the path of another --dataset")
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise UserError(
            f"{path} lacks {', '.join(missing)}; it must hold {', '.join(_ARRAYS)}."
        )
    x_train, x_test = (_images(path, name, arrays) for name in ("x_train", "x_test"))
    if x_train.shape[1:] != x_test.shape[1:]:
        raise UserError(
            f"{path}: x_train holds images of shape {x_train.shape[1:]} and x_test of "
            f"shape {x_test.shape[1:]}; they must be the same."
        )
    y_train = _labels(path, "y_train", arrays, len(x_train))
    y_test = _labels(path, "y_test", arrays, len(x_test))
    return DataSet(
        name=str(path),
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        num_classes=int(max(y_train.max(), y_test.max())) + 1,
        provenance=one_line(arrays.get("provenance", "the user's own arrays")),
    )


def _images(path, name, arrays):
    images = arrays[name]
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.dtype.kind not in "uif" or 0 in images.shape:
        raise UserError(
            f"{path}: {name} must be numbers of shape [n, height, width(, channels)]; "
            f"received {arrays[name].dtype} of shape {arrays[name].shape}."
        )
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise UserError(f"{path}: {name} holds NaN or infinity.")
    return images


def _labels(path, name, arrays, expected):
    labels = arrays[name]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    fits = labels.shape == (expected,) and labels.dtype.kind in "ui"
    if fits and labels.max() >= 2**31 - 1:
        raise UserError(
            f"{path}: {name} holds the label {labels.max()}; number the classes from 0."
        )
    if not fits or labels.min() < 0:
        raise UserError(
            f"{path}: {name} must be {expected} non-negative integers, one per image; "
            f"received {arrays[name].dtype} of shape {arrays[name].shape}."
        )
    return labels.astype("int32")


def linear_teacher(samples=1000, dim=10, seed=0, dtype="float32"):
    """Returns the regression problem of the deep linear network (appendix A.1).

    Inputs are x ~ N(0, I), targets A x with A_ij ~ N(0, 1).

    Args:
        samples: Number of samples n.
        dim: Number of inputs and of outputs d.
        seed: Non-negative integer that determines x and A.
        dtype: Of the returned arrays; the numbers are drawn in float64.

    Returns:
        x [n, d] and y [n, d].
    """
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((dim, dim))
    x = rng.standard_normal((samples, dim))
    return x.astype(dtype), (x @ matrix.T).astype(dtype)
