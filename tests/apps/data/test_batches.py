import itertools

import numpy as np
import pytest

from apps.data.batches import Batches, crop_and_flip
from apps.errors import UserError


def numbered_images(count=23):
    """Images filled with their own number, which is also their label."""
    labels = np.arange(count)
    return np.broadcast_to(labels[:, None, None, None], (count, 4, 4, 1)), labels


def test_a_batch_depends_on_seed_and_step_alone():
    x, y = numbered_images()
    first, second = (Batches(x, y, 5, seed=3, augment=True) for _ in range(2))
    steps = [7, 0, 12, 7, 3]
    for step in steps:
        for a, b in zip(first(step), second(step), strict=True):
            np.testing.assert_array_equal(a, b)
    streamed = list(itertools.islice(second.stream(first_step=7), 2))
    np.testing.assert_array_equal(streamed[0][0], first(7)[0])
    np.testing.assert_array_equal(streamed[1][0], first(8)[0])


def test_an_epoch_shows_no_image_twice_and_images_keep_their_labels():
    x, y = numbered_images()
    batches = Batches(x, y, 5, seed=0)
    assert batches.steps_per_epoch == 4
    orders = []
    for epoch in range(2):
        seen = [batches(epoch * 4 + index) for index in range(4)]
        for images, labels in seen:
            np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
        labels = np.concatenate([labels for _, labels in seen])
        assert len(set(labels)) == 20
        orders.append(labels.tolist())
    assert orders[0] != orders[1]


def test_another_seed_is_another_order():
    x, y = numbered_images()
    assert (Batches(x, y, 20, seed=0)(0)[1] != Batches(x, y, 20, seed=1)(0)[1]).any()


def test_images_are_standardized_in_float32():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 4, 4, 3), dtype="uint8")
    mean, std = np.float32([100, 120, 140]), np.float32([50, 60, 70])
    images, _ = Batches(x, np.arange(40), 40, 0, mean, std)(0)
    _, order = Batches(x, np.arange(40), 40, 0)(0)
    expected = (x[order].astype("float64") - mean) / std
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-5)


def test_augmentation_keeps_order_and_labels():
    x, y = numbered_images()
    plain, augmented = (Batches(x, y, 5, seed=1, augment=a) for a in (False, True))
    for step in range(6):
        np.testing.assert_array_equal(plain(step)[1], augmented(step)[1])


@pytest.mark.parametrize("batch_size", [0, 24])
def test_a_batch_larger_than_the_data_is_refused(batch_size):
    x, y = numbered_images()
    with pytest.raises(UserError, match=rf"batch_size .* 23 .* {batch_size}"):
        Batches(x, y, batch_size, seed=0)


def test_every_image_is_one_of_the_possible_crops_and_mirrors():
    rng = np.random.default_rng(0)
    images = rng.integers(1, 255, (200, 6, 5, 3), dtype="uint8")
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    seen = set()
    for i, result in enumerate(crop_and_flip(images, rng, padding=2)):
        found = [
            (top, left, flip)
            for top in range(5)
            for left in range(5)
            for flip in (1, -1)
            if np.array_equal(
                result, padded[i, top : top + 6, left : left + 5][:, ::flip]
            )
        ]
        assert len(found) == 1
        seen.add(found[0])
    # 50 possibilities; that any one of them is missed 200 times has chance 0.02.
    assert len(seen) > 40
