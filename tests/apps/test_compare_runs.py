import shutil
from pathlib import Path

from tests.apps.run_app import error_of, run_app

SAVED = Path(__file__).parents[2] / "saved_results" / "cpu"


def test_it_tabulates_and_draws_runs(tmp_path):
    runs = [
        shutil.copytree(SAVED / f"vgg_{norm}_seed0", tmp_path / norm)
        for norm in ("none", "l1")
    ]
    done = run_app("compare_runs", *runs, f"--output={tmp_path}/both.png")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()[:3]
    assert header.split()[:2] == ["step", "accuracy"]
    assert [row.split()[:2] for row in rows] == [["none", "15000"], ["l1", "15000"]]
    assert (tmp_path / "both.png").exists()


def test_mistakes_end_in_one_line(tmp_path):
    assert "pass one or more run directories" in error_of(run_app("compare_runs"))
    assert "has no config.json; pass the --workdir" in error_of(
        run_app("compare_runs", tmp_path)
    )
