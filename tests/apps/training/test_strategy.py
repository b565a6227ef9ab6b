import itertools

import numpy as np
import pytest

from apps.errors import UserError
from apps.training import strategy


def test_one_device_gets_whole_batches():
    devices = strategy.start("none")
    assert devices.describe(synchronized=False) == {
        "strategy": "none",
        "replicas": 1,
        "processes": 1,
        "statistics": "global batch",
        "noise": "global batch",
    }
    batch = (np.arange(6), np.arange(6))
    taken = next(iter(devices.input(lambda: itertools.repeat(batch))))
    np.testing.assert_array_equal(taken, batch)


def test_shards_must_be_even():
    devices = strategy.Strategy(replicas=4)
    with pytest.raises(UserError, match="4 devices cannot share 6 samples evenly"):
        devices.shard((np.arange(6), np.arange(6)))


def test_an_unknown_strategy_is_named():
    with pytest.raises(UserError, match=r"one of none.* received 'mirorred'"):
        strategy.start("mirorred")
