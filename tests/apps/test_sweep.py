import csv
import json

import pytest

from tests.apps.run_app import error_of, run_app, run_many

SMALL = "--depth=3 --samples=50 --steps=40 --metrics_every=10 --checkpoint_every=10"


def _sweep(folder, *flags):
    return run_app(
        "sweep", "--network=dln", f"--run_flags={SMALL}", f"--output={folder}", *flags
    )


def _table(folder):
    with open(folder / "grid.csv") as file:
        return {row["run"]: row for row in csv.DictReader(file)}


@pytest.mark.slow
def test_a_grid_with_a_run_that_diverges_ends_in_a_table_and_a_picture(tmp_path):
    flags = ("--norms=none,bn", "--learning_rates=1e-5,1e6", "--jobs=2")
    done = _sweep(tmp_path, *flags)
    assert "2 of 4 runs did not finish (2 diverged)" in error_of(done)
    table = _table(tmp_path)
    assert table["dln_none_lr1e-05_seed0"]["status"] == "finished"
    assert table["dln_none_lr1e+06_seed0"]["status"] == "diverged"
    assert "dln_none_lr1e+06_seed0: diverged" in done.stdout
    assert (tmp_path / "grid.png").exists()
    # Started again, it does only what is missing.
    run = tmp_path / "dln_bn_lr1e-05_seed0"
    before = (run / "metrics.jsonl").read_bytes()
    (run / "result.json").unlink()
    done = _sweep(tmp_path, *flags)
    assert "4 runs in" in done.stdout and "3 of them finished" in done.stdout
    assert (run / "metrics.jsonl").read_bytes() == before
    assert json.loads((run / "result.json").read_text())["status"] == "finished"
    # With other flags they would be other runs.
    done = _sweep(tmp_path, *flags, "--run_flags=--steps=50")
    assert f'--run_flags="{SMALL}" (asked: "--steps=50")' in error_of(done)


@pytest.mark.slow
def test_a_run_that_fails_is_recorded_and_does_not_stop_the_others(tmp_path):
    (tmp_path / "dln_none_lr1e-05_seed0").mkdir(parents=True)
    (tmp_path / "dln_none_lr1e-05_seed0" / "other").touch()
    done = _sweep(tmp_path, "--norms=none,bn", "--learning_rates=1e-5")
    assert "1 of 2 runs did not finish (1 failed)" in error_of(done)
    table = _table(tmp_path)
    assert table["dln_none_lr1e-05_seed0"]["status"] == "failed"
    assert "no run of ours" in table["dln_none_lr1e-05_seed0"]["message"]
    assert table["dln_bn_lr1e-05_seed0"]["status"] == "finished"


def test_mistakes_end_in_one_line(tmp_path):
    words = {
        "--norms=none,layer": "--norms=none,layer; pass some of none, bn",
        "--learning_rates=0.1,fast": "--learning_rates has 'fast'; pass positive",
        "--learning_rates=-1": "--learning_rates has '-1'",
        "--run_flags=--seed=3": "--run_flags has --seed=3, which the sweep sets",
    }
    output = f"--output={tmp_path}/no"
    done = run_many("sweep", *((output, flag) for flag in words))
    for one, expected in zip(done, words.values(), strict=True):
        assert expected in error_of(one)
    assert not (tmp_path / "no").exists()


def test_a_misspelt_flag_of_the_runs_is_named_before_any_run_starts(tmp_path):
    done = run_app(
        "sweep", "--network=dln", "--run_flags=--stepps=3", f"--output={tmp_path}/no"
    )
    message = error_of(done)
    assert '--run_flags="--stepps=3"' in message
    assert "Unknown command line flag 'stepps'" in message
    assert not list((tmp_path / "no").glob("*/config.json"))
