import csv
import math

from apps.report.grid import COLUMNS, grid_row, write_grid
from tests.apps.run_directories import write_run

FLAGS = {"norm": "bn", "learning_rate": 0.1, "seed": 0}


def test_a_row_summarizes_a_run(tmp_path):
    def accuracies(step, row):
        return {**row, "accuracy": step / 100}

    row = grid_row(write_run(tmp_path, rows={"metrics": accuracies}), FLAGS)
    assert tuple(row) == COLUMNS
    assert (row["status"], row["accuracy"], row["loss"]) == ("finished", 1.0, 1.0)
    assert (row["beta"], row["message"]) == (2.0, "")


def test_a_metric_that_was_not_recorded_at_the_end_is_that_of_the_result(tmp_path):
    def without(step, row):
        return {k: v for k, v in row.items() if k != "test_accuracy" or step < 60}

    def never(_, row):
        return {k: v for k, v in row.items() if k != "test_accuracy"}

    for change in (without, never):
        run = write_run(
            tmp_path / change.__name__,
            rows={"metrics": change},
            result={"test_accuracy": 0.7},
        )
        assert grid_row(run, FLAGS)["test_accuracy"] == 0.7


def test_unfinished_runs_are_distinguished(tmp_path):
    result = {"status": "diverged", "message": "no longer finite"}
    run = write_run(tmp_path, result=result)
    row = grid_row(run, FLAGS)
    assert (row["status"], row["message"]) == ("diverged", "no longer finite")
    assert (row["accuracy"], row["loss"]) == (0.1, math.inf)
    (run / "metrics.jsonl").write_text("")
    row = grid_row(run, FLAGS)
    assert (row["status"], row["loss"]) == ("failed", None)
    assert "metrics.jsonl is empty" in row["message"]
    (run / "result.json").unlink()
    row = grid_row(run, FLAGS)
    assert row["status"] == "not finished" and "to resume it" in row["message"]
    failed = grid_row(tmp_path / "never_began", FLAGS, "no disk")
    assert (failed["status"], failed["message"]) == ("failed", "no disk")
    assert failed["loss"] is failed["beta"] is None


def test_unknown_values_are_empty_cells_of_the_csv(tmp_path):
    rows = [grid_row(write_run(tmp_path), FLAGS), grid_row(tmp_path / "no", FLAGS, "x")]
    write_grid(tmp_path / "grid.csv", rows)
    with open(tmp_path / "grid.csv") as file:
        read = list(csv.DictReader(file))
    assert [row["status"] for row in read] == ["finished", "failed"]
    assert read[0]["beta"] == "2.0" and read[1]["beta"] == ""
