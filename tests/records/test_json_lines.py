import json
import math
import resource

import numpy as np
import pytest

from keras_bnsmooth.records import json_lines


def test_rows_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "rows.jsonl"
    json_lines.append(path, {"step": 1, "values": np.float32([0.5, 2])})
    json_lines.append(
        path, {"step": np.int64(2), "name": "conv", "nested": {"a": (1,)}}
    )
    assert json_lines.read(path) == [
        {"step": 1, "values": [0.5, 2.0]},
        {"step": 2, "name": "conv", "nested": {"a": [1]}},
    ]


def test_nan_and_infinity_are_valid_json_and_readable(tmp_path):
    path = tmp_path / "rows.jsonl"
    row = {"step": 0, "loss": math.nan, "losses": np.array([np.inf, -np.inf, 1.0])}
    json_lines.append(path, row)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    json.loads(path.read_text(), parse_constant=refuse)
    (read,) = json_lines.read(path)
    assert math.isnan(read["loss"])
    assert read["losses"] == [math.inf, -math.inf, 1.0]


def test_pandas_reads_nan_and_infinity_as_floats(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "rows.jsonl"
    for step, loss in enumerate([1.0, math.nan, math.inf]):
        json_lines.append(path, {"step": step, "loss": loss})
    losses = pandas.read_json(path, lines=True)["loss"].astype(float)
    np.testing.assert_array_equal(losses, [1.0, math.nan, math.inf])


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    json_lines.append(path, {"step": 1})
    json_lines.append(path, {"step": 2})
    path.write_bytes(path.read_bytes()[:-4])
    assert json_lines.read(path) == [{"step": 1}]


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"step": 1}\n{"step"\n{"step": 3}\n')
    with pytest.raises(ValueError, match="line 2"):
        json_lines.read(path)


def test_truncate_drops_later_rows_and_a_cut_off_one(tmp_path):
    path = tmp_path / "rows.jsonl"
    for step in (10, 20, 30):
        json_lines.append(path, {"step": step})
    with open(path, "a") as file:
        file.write('{"step": 4')
    json_lines.truncate(path, 20)
    json_lines.append(path, {"step": 30})
    assert [row["step"] for row in json_lines.read(path)] == [10, 20, 30]


def test_truncate_leaves_a_missing_file_missing(tmp_path):
    json_lines.truncate(tmp_path / "rows.jsonl", 5)
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_row_that_does_not_fit_raises_and_leaves_the_rows_before(tmp_path):
    path = tmp_path / "rows.jsonl"
    json_lines.append(path, {"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel takes the first bytes of the row and refuses the rest, as a disk
    # does that fills up in the middle.
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, hard))
    try:
        with pytest.raises(OSError, match=r"File too large.*rows\.jsonl"):
            json_lines.append(path, {"step": 2, "loss": 0.5})
        name = tmp_path / "whole.json"
        with (
            pytest.raises(OSError, match=r"File too large.*whole\.json"),
            json_lines.atomic_write(name) as partial,
        ):
            partial.write_text("a" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == '{"step": 1}\n'
