import numpy as np

from keras_bnsmooth.records.columns import to_columns

NAN = np.nan


def test_columns_are_stacked_rows():
    columns = to_columns(
        [{"step": 0, "losses": [1.0, 2.0]}, {"step": 5, "losses": [3, 4]}]
    )
    np.testing.assert_array_equal(columns["step"], [0, 5])
    assert columns["step"].dtype.kind == "i"
    np.testing.assert_array_equal(columns["losses"], [[1, 2], [3, 4]])
    assert to_columns([]) == {}


def test_rows_that_lack_a_quantity_hold_nan():
    rows = [{"a": 1}, {"a": 2, "b": 3.0, "c": [4.0, 5.0], "d": True}]
    for ordered, expected in ((rows, [NAN, 3]), (rows[::-1], [3, NAN])):
        columns = to_columns(ordered)
        assert columns["a"].dtype.kind == "i"
        np.testing.assert_array_equal(columns["b"], expected)
        assert columns["c"].shape == (2, 2)
        np.testing.assert_array_equal(np.isnan(columns["c"][:, 0]), np.isnan(expected))
        np.testing.assert_array_equal(columns["d"] == 1, np.isfinite(expected))


def test_shorter_rows_are_padded():
    rows = [
        {"losses": np.array([1.0, 2.0]), "resolved": [True, True], "counts": [[1]]},
        {"losses": [3.0, 4.0, 5.0], "resolved": [True] * 3, "counts": [[1, 2], [3, 4]]},
    ]
    columns = to_columns(rows)
    np.testing.assert_array_equal(columns["losses"], [[1, 2, NAN], [3, 4, 5]])
    assert columns["resolved"].dtype == bool
    np.testing.assert_array_equal(columns["resolved"][0], [True, True, False])
    np.testing.assert_array_equal(columns["counts"][0], [[1, NAN], [NAN, NAN]])


def test_what_cannot_be_padded_is_kept_row_by_row():
    rows = [{"names": ["a"], "v": [1.0]}, {"names": ["b", "c"], "v": [[2.0, 3.0]]}]
    columns = to_columns(rows)
    for name in ("names", "v"):
        assert columns[name].dtype == object
        for found, row in zip(columns[name], rows, strict=True):
            np.testing.assert_array_equal(found, row[name])
