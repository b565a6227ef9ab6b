import pytest

from keras_bnsmooth.autodiff.training_loss import check_divisible


def test_devices_that_share_evenly():
    assert check_divisible(128, 4) == 4


def test_an_uneven_batch_is_refused():
    with pytest.raises(ValueError, match="3 devices cannot share 128 samples evenly"):
        check_divisible(128, 3)
