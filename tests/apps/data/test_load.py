import sys

import numpy as np
import pytest

from apps import data


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
        ({"y_train": np.arange(19)}, "y_train must be 20 integers"),
        ({"y_train": np.linspace(0, 1, 20)}, "y_train must be 20 integers"),
        ({"y_train": np.arange(20) - 1}, "y_train must be 20 integers"),
        ({"x_test": np.ones((8, 9, 9, 3))}, r"\(8, 8, 3\) and x_test of .*\(9, 9, 3\)"),
    ],
)
def test_an_unusable_array_file_says_why(tmp_path, changes, message):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays(**changes))
    with pytest.raises(ValueError, match=message):
        data.load(str(path))


@pytest.mark.parametrize("content", [None, b"", b"no zip file", b"PK\x03\x04cut off"])
def test_an_unreadable_array_file_says_so(tmp_path, content):
    path = tmp_path / "own.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"own\.npz cannot be read"):
        data.load(str(path))


def test_a_single_array_by_that_name_says_so(tmp_path):
    np.save(tmp_path / "own.npy", np.arange(3))
    path = (tmp_path / "own.npy").rename(tmp_path / "own.npz")
    with pytest.raises(ValueError, match=r"own\.npz cannot be read"):
        data.load(str(path))


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ValueError, match=r"digits, cifar10 or .* received mnist"):
        data.load("mnist")


def test_cifar10_that_is_nowhere_says_what_to_do(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")

    def refuse(*arguments, **keywords):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    with pytest.raises(ValueError, match="--data_dir or TFDS_DATA_DIR"):
        data.load("cifar10", str(tmp_path))


def test_cifar10_without_tensorflow_datasets_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # as not installed
    with pytest.raises(ValueError, match=r"pip install .*\[tensorflow\].*FILE\.npz"):
        data.load("cifar10")
