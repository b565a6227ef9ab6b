import math

import numpy as np

from apps.figures.seeds import measured, over_seeds, summarize


def columns(steps, values):
    return {"step": np.array(steps), "loss": np.array(values)}


def test_seeds_of_different_length_share_their_steps():
    steps, values = over_seeds(
        [columns([10, 20, 30], [1.0, 2.0, 3.0]), columns([10, 25], [4.0, math.inf])],
        "loss",
    )
    np.testing.assert_array_equal(steps, [10, 20, 25, 30])
    nan = math.nan
    np.testing.assert_array_equal(values, [[1, 2, nan, 3], [4, nan, nan, nan]])


def test_the_middle_and_the_range_leave_out_what_is_missing():
    nan = math.nan
    median, low, high = summarize(np.array([[1, nan], [3, nan], [9, nan], [nan, nan]]))
    np.testing.assert_array_equal(median, [3, nan])
    np.testing.assert_array_equal(low, [1, nan])
    np.testing.assert_array_equal(high, [9, nan])


def test_rows_without_the_quantity_are_dropped():
    record = measured(columns([10, 20], [math.nan, 2.0]), "loss")
    np.testing.assert_array_equal(record["step"], [20])
    assert len(measured(columns([10], [1.0]), "test_accuracy")["step"]) == 0
