import csv
import json

from apps.report.grid import COLUMNS, grid_row, write_grid
from tests.apps.run_directories import write_run

FLAGS = {"norm": "bn", "learning_rate": 0.1, "seed": 0}


def test_a_row_says_how_a_run_ended(tmp_path):
    def accuracies(step, row):
        return {**row, "accuracy": step / 100}

    row = grid_row(write_run(tmp_path, rows={"metrics": accuracies}), FLAGS)
    assert tuple(row) == COLUMNS
    assert (row["status"], row["accuracy"], row["loss"]) == ("finished", 1.0, 1.0)
    assert (row["beta"], row["squared_error"], row["message"]) == (3.0, None, "")


def test_runs_that_did_not_finish_are_told_apart(tmp_path):
    run = write_run(tmp_path)
    diverged = {"status": "diverged", "message": "no longer finite"}
    (run / "result.json").write_text(json.dumps(diverged))
    row = grid_row(run, FLAGS)
    assert (row["status"], row["message"]) == ("diverged", "no longer finite")
    (run / "result.json").unlink()
    assert grid_row(run, FLAGS)["status"] == "not finished"
    failed = grid_row(tmp_path / "never_began", FLAGS, "no disk")
    assert (failed["status"], failed["message"]) == ("failed", "no disk")
    assert failed["loss"] is failed["beta"] is None


def test_the_table_is_csv_with_empty_cells_for_what_is_not_known(tmp_path):
    rows = [grid_row(write_run(tmp_path), FLAGS), grid_row(tmp_path / "no", FLAGS, "x")]
    write_grid(tmp_path / "grid.csv", rows)
    with open(tmp_path / "grid.csv") as file:
        read = list(csv.DictReader(file))
    assert [row["status"] for row in read] == ["finished", "failed"]
    assert read[0]["beta"] == "3.0" and read[1]["beta"] == ""
