import json

from keras_bnsmooth.records import json_lines
from tests.apps.run_app import error_of, run_app

SMALL = ("--steps=40", "--metrics_every=20", "--depth=3", "--samples=50")


def test_a_run_records_the_full_squared_error(tmp_path):
    arguments = (*SMALL, "--reduction=mean_sum", "--norm=none", "--dtype=float64")
    done = run_app("train_dln", *arguments, f"--workdir={tmp_path}/run")
    assert done.returncode == 0, done.stderr
    rows = json_lines.read(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [20, 40]
    for row in rows:
        assert row["squared_error"] == row["loss"] * 50
    assert (tmp_path / "run" / "training_curves.png").exists()


def test_a_diverging_run_keeps_valid_records(tmp_path):
    workdir = tmp_path / "run"
    done = run_app(
        "train_dln", "--norm=none", "--learning_rate=1e-3", f"--workdir={workdir}"
    )
    assert "Training diverged" in error_of(done)
    assert json_lines.read(workdir / "metrics.jsonl")
    texts = (workdir / "metrics.jsonl").read_text().splitlines()
    texts += [(workdir / f"{name}.json").read_text() for name in ("config", "result")]
    for text in texts:
        json.loads(text, parse_constant=refuse)


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")
