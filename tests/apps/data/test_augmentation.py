import numpy as np

from apps.data.augmentation import crop_and_flip


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
