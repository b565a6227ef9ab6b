import shutil

import numpy as np
import pytest

from apps.errors import UserError
from apps.training.runs import Run, read_runs
from tests.apps.run_directories import write_run


def test_a_run_is_identified_by_its_flags(tmp_path):
    run = Run(write_run(tmp_path, "dln", "l1", seed=2))
    assert (run.network, run.norm, run.seed) == ("dln", "l1", 2)
    assert (run.learning_rate, run.steps) == (1e-6, 100)
    assert Run(write_run(tmp_path)).network == "vgg"


def test_records_are_columns_with_nan_where_a_row_has_no_value(tmp_path):
    metrics = Run(write_run(tmp_path)).record("metrics")
    np.testing.assert_array_equal(metrics["step"], np.arange(10, 101, 10))
    expected = [0.5 if step % 50 == 0 else np.nan for step in metrics["step"]]
    np.testing.assert_array_equal(metrics["test_accuracy"], expected)
    assert Run(write_run(tmp_path / "b")).record("landscape")["losses"].shape == (5, 4)


def test_runs_are_selected_in_the_order_of_their_seeds(tmp_path):
    for seed in (10, 2, 1):
        write_run(tmp_path, seed=seed)
    write_run(tmp_path, norm="l1")
    write_run(tmp_path, learning_rate=0.5)
    runs = read_runs(tmp_path)
    assert runs.problems == []
    assert [run.seed for run in runs.select("vgg", "bn")] == [1, 2, 10]
    assert [run.seed for run in runs.select("vgg", "bn", learning_rate=0.5)] == [0]
    assert runs.select("dln") == []


def test_settings_are_selected_by_their_flags(tmp_path):
    changes = {
        "main": {},
        "shallow": {"depth": "11"},
        "augmented": {"augment": True},
        "short": {"steps": 40},
        "short_fast": {"steps": 40, "learning_rate": 1.0},
        "centered": {"norm_after_centering": True},
    }
    for name, change in changes.items():
        write_run(tmp_path, norm="l1", name=name, **{"depth": "16", **change})
    for seed in (1, 2):
        write_run(tmp_path, norm="l1", seed=seed, name=f"main{seed}", depth="16")
    write_run(tmp_path, norm="none", depth="16")
    runs = read_runs(tmp_path)
    assert runs.problems == []

    def names(**flags):
        return {run.name for run in runs.select("vgg", "l1", **flags)}

    assert names() == {"main", "main1", "main2"}
    for name, change in changes.items():
        if change:
            assert names(**change) == {name}
    # Centering does not affect the standard network, which is the same one.
    (standard,) = runs.select("vgg", "none", norm_after_centering=True)
    assert standard.norm == "none"
    with pytest.raises(ValueError, match="not set apart by width but by learning_rate"):
        runs.select("vgg", width=8)


def test_the_dln_with_a_bare_output_is_a_setting_of_its_own(tmp_path):
    for norm in ("none", "bn"):
        write_run(tmp_path, "dln", norm)
    write_run(tmp_path, "dln", "bn", name="dln_bare", normalize_output=False)
    again = write_run(tmp_path, "dln", "none", name="z", normalize_output=False)
    runs = read_runs(tmp_path)
    assert [run.norm for run in runs.select("dln")] == ["bn", "none"]
    selected = runs.select("dln", normalize_output=False)
    assert [run.name for run in selected] == ["dln_bare", "dln_none_1e-06_0"]
    (problem,) = runs.problems
    assert problem.startswith(f"{again}: the same run as ")


def test_equally_many_runs_of_two_sizes_leave_the_larger_as_the_main_one(tmp_path):
    for steps in (40, 100):
        for norm in ("none", "bn"):
            write_run(tmp_path, norm=norm, name=f"{norm}_{steps}", steps=steps)
    assert {run.steps for run in read_runs(tmp_path).select("vgg")} == {100}


def test_runs_with_the_loss_of_today_are_read_and_others_are_not(tmp_path):
    kept = write_run(tmp_path, "dln", "none", reduction="sum_sum")
    left = write_run(tmp_path, "dln", "bn", reduction="sum_mean")
    runs = read_runs(tmp_path)
    assert [run.path for run in runs.select("dln")] == [kept]
    (problem,) = runs.problems
    assert problem.startswith(f"{left}: a run with --reduction=sum_mean, but the")


def _remove(name):
    return lambda run: (run / name).unlink()


def _cut(name, keep):
    def cut(run):
        text = (run / name).read_text()
        (run / name).write_text(text[: int(len(text) * keep)])

    return cut


def _write(name, text):
    return lambda run: (run / name).write_text(text)


def _mix_rows(run):
    path = run / "landscape.jsonl"
    path.write_text(path.read_text() * 2)


def _empty(run):
    for path in run.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (_empty, "there is no config.json"),
        (_remove("config.json"), "there is no config.json"),
        (_cut("config.json", 0.5), "config.json is truncated"),
        (_write("config.json", "[]"), "config.json holds [] instead of a JSON object"),
        (_write("config.json", "3"), "config.json holds 3 instead of a JSON object"),
        (
            _write("config.json", "{}"),
            "has no entry 'flags'; it is another file than expected",
        ),
        (_write("config.json", '{"flags": {}}'), "does not hold the flags of a run"),
        (_write("config.json", '{"flags": [1]}'), "has [1] as flags"),
        (
            _write("config.json", '{"flags": {"dataset": "a\\u0000.npz"}}'),
            "has 'a\\x00.npz' as --dataset",
        ),
        (_write("config.json", '{"flags": null}'), "has None as flags"),
        (
            _write("config.json", '{"flags": {"norm": "bn", "seed": "x"}}'),
            "has 'x' as --seed",
        ),
        (_write("result.json", '{"status": 3}'), "has 3 as status"),
        (
            _write(
                "metrics.jsonl", '{"step": 4, "loss": "x"}\n{"step": 8, "loss": 1}\n'
            ),
            "metrics.jsonl: loss at step 8 is neither a number nor text, or not what",
        ),
        (_remove("result.json"), "not finished; rerun `python -m apps.train_vgg"),
        (_cut("result.json", 0.5), "result.json is truncated"),
        (
            _write("result.json", "[1]"),
            "result.json holds [1] instead of a JSON object",
        ),
        (_write("metrics.jsonl", "{\n{}\n"), "metrics.jsonl, line 1: not a JSON row"),
        (_remove("metrics.jsonl"), "metrics.jsonl is missing"),
        (_remove("ics.jsonl"), "ics.jsonl is missing"),
        (_cut("metrics.jsonl", 0), "metrics.jsonl is empty"),
        (_cut("landscape.jsonl", 0.7), "landscape.jsonl ends at step 40 instead of 80"),
        (_mix_rows, "landscape.jsonl holds rows of more than one run"),
    ],
)
def test_an_incomplete_run_is_left_out_with_one_line(tmp_path, damage, line):
    good = write_run(tmp_path, norm="l1")
    bad = write_run(tmp_path, norm="bn")
    damage(bad)
    runs = read_runs(tmp_path)
    assert [run.path for run in runs.runs] == [good]
    (problem,) = runs.problems
    assert problem.startswith(str(bad)) and line in problem and "\n" not in problem


def test_runs_of_other_flags_and_duplicates_are_left_out(tmp_path):
    for norm in ("none", "bn", "l1"):
        write_run(tmp_path, norm=norm)
    other = write_run(tmp_path, norm="l2", width=16)
    twice = shutil.copytree(tmp_path / "vgg_l1_0.1_0", tmp_path / "z")
    runs = read_runs(tmp_path)
    assert len(runs.runs) == 3
    assert runs.problems == [
        f"{other}: a run with --width=16 where most have 8.",
        f"{twice}: the same run as {tmp_path / 'vgg_l1_0.1_0'}.",
    ]


def test_runs_of_older_and_newer_versions_belong_together(tmp_path):
    for norm in ("none", "bn"):
        write_run(tmp_path, norm=norm)
    now = {"strategy": "none", "logical_cpus": 1, "synchronized": False}
    write_run(tmp_path, norm="l1", **now)
    write_run(tmp_path, norm="l2", **{**now, "strategy": "mirrored"})
    runs = read_runs(tmp_path)
    assert sorted(run.norm for run in runs.runs) == ["bn", "l1", "none"]
    assert "--strategy=mirrored where most have none" in runs.problems[0]


def test_a_diverged_run_may_end_early(tmp_path):
    rows = {"metrics": lambda step, row: row if step <= 40 else None}
    result = {"status": "diverged", "step": 40}
    run = Run(write_run(tmp_path, rows=rows, result=result))
    assert run.diverged
    assert (run.rows_lost("metrics"), run.rows_lost("landscape")) == (6, 0)
    assert Run(write_run(tmp_path, norm="l1")).rows_lost("metrics") == 0


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(UserError, match="is not a folder; pass a folder of run"):
        read_runs(tmp_path / "no")
