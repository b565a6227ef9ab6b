import numpy as np
import pytest

from apps import data


def test_it_is_cifar10():
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
