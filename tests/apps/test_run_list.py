import json

import pytest

from tests.apps.run_app import error_of, run_app

TRAIN = "train_dln --steps=20 --metrics_every=10 --depth=2 --samples=20 --norm=none"


@pytest.fixture
def run_list(tmp_path):
    def run(text, *arguments):
        (tmp_path / "runs.txt").write_text(text)
        return run_app(
            "run_list",
            tmp_path / "runs.txt",
            f"--work={tmp_path}/work",
            f"--output={tmp_path}/results",
            *arguments,
        )

    return run


def test_every_run_is_made_and_leaves_records_without_weights(run_list, tmp_path):
    text = f"# two seeds\nfirst {TRAIN} --seed=0\nsecond {TRAIN} --seed=1\n"
    done = run_list(text, "--jobs=2", "--more=--checkpoint_every=10")
    assert done.returncode == 0, done.stderr
    for name, seed in (("first", 0), ("second", 1)):
        results = tmp_path / "results" / name
        config = json.loads((results / "config.json").read_text())
        assert config["flags"]["seed"] == seed
        assert config["flags"]["checkpoint_every"] == 10
        assert json.loads((results / "result.json").read_text())["steps"] == 20
        assert not list(results.glob("*.npz")) + list(results.glob("*.keras"))
    again = run_list(text)
    assert again.returncode == 0
    assert "started" not in again.stdout


def test_time_is_respected_and_what_is_left_is_named(run_list):
    done = run_list(f"long {TRAIN}\nnext {TRAIN}\n", "--minutes=0.01")
    assert done.returncode == 0
    assert "Time is up with long, next left" in done.stdout


def test_a_failed_run_is_named_with_its_own_error(run_list, tmp_path):
    done = run_list("bad train_dln --steps=-5\n")
    assert "failed: bad; see the logs in" in error_of(done)
    assert "--steps" in (tmp_path / "work" / "bad.log").read_text()


@pytest.mark.parametrize("text", ["alone\n", "a train_dln\na train_dln\n"])
def test_a_wrong_list_is_named(run_list, text):
    assert "runs.txt, line" in error_of(run_list(text))
