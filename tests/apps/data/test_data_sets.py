import os
import subprocess
import sys
import urllib.error

import numpy as np
import pytest

from apps import data
from apps.data import data_sets
from apps.errors import UserError


def arrays(**changes):
    rng = np.random.default_rng(0)
    result = {
        "x_train": rng.integers(0, 256, (20, 8, 8, 3), dtype="uint8"),
        "y_train": np.arange(20) % 4,
        "x_test": rng.integers(0, 256, (8, 8, 8, 3), dtype="uint8"),
        "y_test": np.arange(8)[:, None] % 4,
        "provenance": "made by a test",
    }
    result.update(changes)
    return {name: value for name, value in result.items() if value is not None}


def test_digits_need_no_download():
    digits = data.load("digits")
    assert digits.x_train.shape == (1437, 32, 32, 1)
    assert digits.x_test.shape == (360, 32, 32, 1)
    assert set(digits.y_train) == set(digits.y_test) == set(range(10))


def test_channel_moments_equal_the_naive_ones():
    digits = data.load("digits")
    mean, std = digits.channel_moments()
    np.testing.assert_allclose(mean, [digits.x_train.astype("float64").mean()], 1e-6)
    np.testing.assert_allclose(std, [digits.x_train.astype("float64").std()], 1e-6)


def test_an_array_file_is_loaded_with_its_provenance(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays())
    loaded = data.load(str(path))
    assert loaded.image_shape == (8, 8, 3)
    assert loaded.num_classes == 4
    assert loaded.provenance == "made by a test"
    np.testing.assert_array_equal(loaded.y_test, np.arange(8) % 4)


def test_grey_images_get_a_channel(tmp_path):
    path = tmp_path / "grey.npz"
    np.savez(path, **arrays(x_train=np.ones((20, 5, 6)), x_test=np.ones((8, 5, 6))))
    assert data.load(str(path)).image_shape == (5, 6, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "lacks y_test"),
        ({"x_train": np.ones((20, 8))}, r"x_train .* \(20, 8\)"),
        ({"x_train": np.array(["a"] * 20)}, "x_train"),
        ({"x_train": np.full((20, 8, 8, 3), np.nan)}, "x_train holds NaN"),
        ({"y_train": np.arange(19)}, "y_train must be 20 non-neg"),
        (
            {"y_train": np.linspace(0, 1, 20)},
            "y_train must be 20 non-neg",
        ),
        ({"y_train": np.arange(20) - 1}, "y_train must be 20 non-neg"),
        ({"y_train": np.full(20, 2**31)}, "holds the label 2147483648; number the"),
        ({"x_test": np.ones((8, 9, 9, 3))}, r"\(8, 8, 3\) and x_test of .*\(9, 9, 3\)"),
    ],
)
def test_an_unusable_array_file_says_why(tmp_path, changes, message):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays(**changes))
    with pytest.raises(UserError, match=message):
        data.load(str(path))


@pytest.mark.parametrize("content", [None, b"", b"no zip file", b"PK\x03\x04cut off"])
def test_an_unreadable_array_file_says_so(tmp_path, content):
    path = tmp_path / "own.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"own\.npz cannot be read"):
        data.load(str(path))


def test_a_single_array_by_that_name_says_so(tmp_path):
    np.save(tmp_path / "own.npy", np.arange(3))
    path = (tmp_path / "own.npy").rename(tmp_path / "own.npz")
    with pytest.raises(UserError, match=r"own\.npz cannot be read"):
        data.load(str(path))


def test_an_array_larger_than_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "own.npz"
    np.savez_compressed(path, **arrays(x_train=np.zeros((20, 8, 8, 3))))
    monkeypatch.setattr("apps.memory.available", lambda: 20 * 8 * 8 * 3 * 8)
    with pytest.raises(UserError, match=r"own\.npz needs at least .* another --data"):
        data.load(str(path))


def test_control_characters_of_a_provenance_are_escaped(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays(provenance="\x1b[31mred\nline"))
    assert data.load(str(path)).provenance == "\\x1b[31mred line"


def test_an_unknown_data_set_is_refused():
    with pytest.raises(UserError, match=r"digits, cifar10 or .* received mnist"):
        data.load("mnist")


def test_cifar10_that_is_nowhere_says_what_to_do(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")

    def refuse(*arguments, **keywords):
        raise ConnectionError("no network")

    monkeypatch.setattr(data_sets, "_check_server", lambda: None)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    with pytest.raises(UserError, match="--data_dir or TFDS_DATA_DIR"):
        data.load("cifar10", str(tmp_path))


def test_cifar10_without_a_network_is_not_waited_for(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")

    def refuse(url, timeout):
        assert timeout < 20
        raise urllib.error.URLError("no network")

    def prepare(*arguments, **keywords):
        raise AssertionError("TensorFlow Datasets would try for minutes")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", prepare)
    with pytest.raises(UserError, match=r"downloaded and prepared \(URLError\)"):
        data.load("cifar10", str(tmp_path))


def test_cifar10_without_tensorflow_datasets_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # as not installed
    with pytest.raises(UserError, match=r"pip install tensorflow-datasets .*FILE\.npz"):
        data.load("cifar10")


@pytest.fixture
def array_record(tmp_path):
    """A small CIFAR-10 in the format that needs no TensorFlow; its images."""
    pytest.importorskip("tensorflow")  # which prepares it
    tfds = pytest.importorskip("tensorflow_datasets")
    cifar = pytest.importorskip("tensorflow_datasets.image_classification.cifar")
    images = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype="uint8")

    def examples(split):
        for i, image in enumerate(images):
            yield f"{split}{i}", {"id": f"{split}{i}", "image": image, "label": i}

    builder = cifar.Cifar10(data_dir=tmp_path, file_format="array_record")
    builder._split_generators = lambda _: {s: examples(s) for s in ("train", "test")}
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    builder.download_and_prepare(download_config=config)
    return images


WITHOUT_TENSORFLOW = """
import importlib.machinery, sys
import numpy as np

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "tensorflow" else super().find_spec(name, path, target)

finders = sys.meta_path
finders[finders.index(importlib.machinery.PathFinder)] = Finder
from apps import data
from apps.data import data_sets
try:
    cifar10 = data.load("cifar10", sys.argv[1])
except ValueError as error:
    sys.exit(f"{type(error).__name__}: {error}")
np.savez(sys.argv[2], x=cifar10.x_train, y=cifar10.y_train)
"""


def _load_without_tensorflow(data_dir, output):
    pytest.importorskip("jax")
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, str(data_dir), str(output)],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "jax"},
    )


def test_array_records_are_read_without_tensorflow(array_record, tmp_path):
    done = _load_without_tensorflow(tmp_path, tmp_path / "read.npz")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "read.npz") as read:
        labels = read["y"].tolist()
        assert sorted(labels) == list(range(10))
        assert read["y"].dtype == np.int32
        np.testing.assert_array_equal(read["x"], array_record[labels])


def test_tfrecords_without_tensorflow_say_what_to_do(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder("cifar10")
    if not builder.is_prepared() or builder.info.file_format.value != "tfrecord":
        pytest.skip("CIFAR-10 is not prepared as TFRecord on this machine")
    done = _load_without_tensorflow(builder.data_path.parents[1], tmp_path / "no.npz")
    assert "is stored as tfrecord, which only TensorFlow reads" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("UserError: CIFAR-10 in ")
    assert "FILE.npz" in done.stderr


def test_the_prepared_cifar10_is_cifar10():
    tfds = pytest.importorskip("tensorflow_datasets")
    if not tfds.builder("cifar10").is_prepared():
        pytest.skip("CIFAR-10 is not prepared for TensorFlow Datasets on this machine")
    cifar10 = data.load("cifar10")
    assert cifar10.x_train.shape == (50_000, 32, 32, 3)
    assert cifar10.x_test.shape == (10_000, 32, 32, 3)
    assert cifar10.x_train.dtype == np.uint8
    assert (np.bincount(cifar10.y_train) == 5_000).all()
    assert (np.bincount(cifar10.y_test) == 1_000).all()
    # Known channel means of the training images; the JPEG copy is within 1.
    mean, _ = cifar10.channel_moments()
    np.testing.assert_allclose(mean, [125.3, 123.0, 113.9], atol=1)


def test_targets_are_a_linear_map_of_standard_normal_inputs():
    x, y = data.linear_teacher(samples=4000, dim=6, seed=3, dtype="float64")
    matrix, residual, *_ = np.linalg.lstsq(x, y, rcond=None)
    np.testing.assert_allclose(residual, 0, atol=1e-18)
    assert abs(matrix.std() - 1) < 0.35
    np.testing.assert_allclose(x.T @ x / 4000, np.eye(6), atol=0.1)


def test_the_seed_determines_the_teacher():
    a, b, c = (data.linear_teacher(seed=seed) for seed in (0, 0, 1))
    assert a[0].dtype == a[1].dtype == np.float32
    np.testing.assert_array_equal(a, b)
    assert (a[0] != c[0]).any()
