"""Anybody's images, as arrays in an .npz file."""

import zipfile

import numpy as np

from apps.data.data_set import DataSet

_NAMES = ("x_train", "y_train", "x_test", "y_test")


def load_array_file(path):
    """Returns the `DataSet` in the .npz file at `path`.

    Args:
        path: File with `x_train` [n, height, width(, channels)], `y_train` [n] or
            [n, 1], `x_test` and `y_test`; labels are integers from 0. An entry
            `provenance` is quoted beside the results.

    Raises:
        ValueError: The file is missing or unreadable, or an array is missing, has
            the wrong shape, or holds labels that are not integers from 0 up.
    """
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read as an .npz file of plain arrays "
            f"({type(error).__name__}: {error})."
        ) from error
    missing = [name for name in _NAMES if name not in arrays]
    if missing:
        raise ValueError(
            f"{path} lacks {', '.join(missing)}; it must hold {', '.join(_NAMES)}."
        )
    x_train, x_test = (_images(path, name, arrays) for name in ("x_train", "x_test"))
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ValueError(
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
        provenance=str(arrays.get("provenance", "arrays of the user's own")),
    )


def _images(path, name, arrays):
    images = arrays[name]
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.dtype.kind not in "uif" or 0 in images.shape:
        raise ValueError(
            f"{path}: {name} must be numbers of shape [n, height, width(, channels)]; "
            f"received {arrays[name].dtype} of shape {arrays[name].shape}."
        )
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise ValueError(f"{path}: {name} holds NaN or infinity.")
    return images


def _labels(path, name, arrays, expected):
    labels = arrays[name]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (expected,) or labels.dtype.kind not in "ui" or labels.min() < 0:
        raise ValueError(
            f"{path}: {name} must be {expected} integers from 0 up, one an image; "
            f"received {arrays[name].dtype} of shape {arrays[name].shape}."
        )
    return labels.astype("int32")
