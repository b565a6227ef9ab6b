"""CIFAR-10 through TensorFlow Datasets."""

import json
from pathlib import Path

from apps.data.data_set import DataSet


def load_cifar10(data_dir=None):
    """Returns CIFAR-10: 50,000 + 10,000 colour images of 32 x 32 pixels.

    Args:
        data_dir: Where TensorFlow Datasets keeps its data sets; None takes
            `TFDS_DATA_DIR` or `~/tensorflow_datasets`.

    Raises:
        ValueError: CIFAR-10 is not there and cannot be downloaded, or TensorFlow
            Datasets is not installed.
    """
    try:
        # Slow to import, and only this data set needs them.
        import tensorflow  # noqa: F401 - TensorFlow Datasets imports it later
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ValueError(
            "CIFAR-10 is read through TensorFlow Datasets, which is not installed "
            f'({error}); pip install "keras-bnsmooth[tensorflow]", or pass '
            "--dataset=FILE.npz."
        ) from error
    tfds.disable_progress_bar()
    builder = tfds.builder("cifar10", data_dir=data_dir)
    if not builder.is_prepared():
        try:
            builder.download_and_prepare()
        except Exception as error:
            # TFDS raises whatever its downloader does; there is one thing to do.
            raise ValueError(
                f"CIFAR-10 is not in {builder.data_path.parent.parent} and cannot be "
                f"downloaded ({type(error).__name__}); set --data_dir or TFDS_DATA_DIR "
                "to where TensorFlow Datasets has it, or pass --dataset=FILE.npz."
            ) from error
    arrays = tfds.as_numpy(builder.as_dataset(batch_size=-1))
    train, test = arrays["train"], arrays["test"]
    return DataSet(
        name="cifar10",
        x_train=train["image"],
        y_train=train["label"].astype("int32"),
        x_test=test["image"],
        y_test=test["label"].astype("int32"),
        num_classes=10,
        provenance=_provenance(Path(builder.data_dir)),
    )


def _provenance(data_dir):
    """A copy of the data set that is not the original says so in this file."""
    mark = data_dir / "provenance.json"
    if mark.exists():
        return json.loads(mark.read_text())["provenance"]
    return "CIFAR-10 as downloaded by TensorFlow Datasets"
