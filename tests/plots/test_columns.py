import math

import numpy as np

from keras_bnsmooth.plots.columns import (
    align_seeds,
    batch_steps,
    drop_missing,
    evenly_spaced,
    restrict_step_sizes,
    select_layer,
    successive_rows,
    summarize,
    with_ceiling,
)


def columns(steps, values):
    return {"step": np.array(steps), "loss": np.array(values)}


def test_seeds_of_different_length_share_their_steps():
    steps, values = align_seeds(
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
    record = drop_missing(columns([10, 20], [math.nan, 2.0]), "loss")
    np.testing.assert_array_equal(record["step"], [20])
    assert len(drop_missing(columns([10], [1.0]), "test_accuracy")["step"]) == 0


RECORD = {
    "step": np.array([0, 5]),
    "layers": np.array([["one", "one_bn", "two"]] * 2),
    "mean": np.arange(6.0).reshape(2, 3),
}


def test_the_record_of_a_layer_is_its_column():
    shown = select_layer(RECORD, "two")
    np.testing.assert_array_equal(shown["mean"], [2, 5])
    np.testing.assert_array_equal(shown["step"], [0, 5])


def test_two_layers_are_at_one_third_and_two_thirds_of_the_depth():
    layers = [f"conv{number}" for number in range(1, 17)]
    assert evenly_spaced(layers, 2) == [(5, "conv5"), (11, "conv11")]
    assert evenly_spaced(["a", "b"], 6) == [(1, "a"), (2, "b")]


def test_ceiling_and_saturation_of_a_record_without_them():
    record = {
        "step": np.array([0, 1, 2, 3]),
        "gradient_norm": np.full(4, 2.0),
        "step_sizes": np.array([[0.1, 0.2]] * 3 + [[0.0, 0.0]]),
        "gradient_distances": np.array([[1.7, 3], [1.9, 3], [0.1, 3], [0.0, 0.0]]),
        "resolved": np.array([[True, True]] * 2 + [[False, True], [True, True]]),
    }
    found = with_ceiling(record)
    np.testing.assert_array_equal(found["ceiling"], [10, 10, 5, np.nan])
    np.testing.assert_array_equal(found["saturated"], [False, True, True, False])


def test_step_sizes_are_restricted_to_a_range_of_learning_rates():
    rate = float(np.float32(0.1))
    record = {
        "step": np.array([0, 1]),
        "learning_rate": np.full(2, rate),
        "beta": np.array([7.0, 8.0]),
        "gradient_norm": np.ones(2),
        "step_sizes": np.array([[0.01, 0.5, 4.0]] * 2) * 0.1,
        "losses": np.arange(6.0).reshape(2, 3),
        "gradient_distances": np.array([[1.0, 2, 3]] * 2),
        "resolved": np.ones((2, 3), bool),
    }
    found = restrict_step_sizes(record, 0.5, 4)
    np.testing.assert_array_equal(found["losses"], [[1, 2], [4, 5]])
    np.testing.assert_array_equal(found["beta"], [7, 8])
    # These are about all step sizes, as beta is.
    np.testing.assert_array_equal(found["saturated"], [True, True])
    np.testing.assert_allclose(found["ceiling"], 1000)


def test_successive_rows_share_a_batch():
    steps, batches = np.array([0, 1, 2, 3, 8]), np.array([0, 0, 2, 2, 8])
    record = {"step": steps, "batch_step": batches}
    np.testing.assert_array_equal(batch_steps(record), batches)
    np.testing.assert_array_equal(successive_rows(record), [0, 2])
    # Without batch steps, as in older records, which held pairs of steps.
    older = {"step": np.array([0, 1, 10, 11, 20])}
    np.testing.assert_array_equal(batch_steps(older), [0, 0, 10, 10, 20])
    np.testing.assert_array_equal(successive_rows(older), [0, 2])
    # Two steps apart, as with several steps per execution.
    far = {"step": np.array([0, 2]), "batch_step": np.array([0, 0])}
    assert successive_rows(far).size == 0
