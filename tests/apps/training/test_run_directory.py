import json

import pytest

from apps.training.errors import RunError
from apps.training.run_directory import RunDirectory
from keras_bnsmooth.records import json_lines


def config(**flags):
    return {"flags": {"norm": "bn", "steps": 10, "workdir": "runs/a", **flags}}


def test_a_new_directory_holds_its_configuration(tmp_path):
    RunDirectory(tmp_path / "deep" / "run", config())
    written = json.loads((tmp_path / "deep" / "run" / "config.json").read_text())
    assert written == config()


def test_another_runs_flags_are_refused_and_named(tmp_path):
    RunDirectory(tmp_path / "run", config())
    with pytest.raises(RunError, match=r"run with --steps=10 \(asked: 20\); pass"):
        RunDirectory(tmp_path / "run", config(steps=20))
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == config()


def test_free_flags_may_differ(tmp_path):
    RunDirectory(tmp_path / "run", config())
    RunDirectory(tmp_path / "run", config(workdir="x"), free_flags=("workdir",))


def test_a_run_of_an_older_version_goes_on(tmp_path):
    RunDirectory(tmp_path / "run", config())
    RunDirectory(tmp_path / "run", config(strategy="none"))
    with pytest.raises(RunError, match=r"--strategy=none \(asked: mirrored\)"):
        RunDirectory(tmp_path / "run", config(strategy="mirrored"))


def test_a_directory_of_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match=r"no config\.json"):
        RunDirectory(tmp_path, config())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="is a file"):
        RunDirectory(tmp_path / "run", config())


def test_a_damaged_configuration_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"flags": ')
    with pytest.raises(RunError, match=r"config\.json is not JSON"):
        RunDirectory(tmp_path, config())


def test_all_records_lose_what_will_be_written_again(tmp_path):
    run = RunDirectory(tmp_path / "run", config())
    for name in ("metrics", "landscape"):
        for step in (5, 10):
            json_lines.append(run.path / f"{name}.jsonl", {"step": step})
    run.drop_records_after(5)
    for name in ("metrics", "landscape"):
        assert json_lines.read(run.path / f"{name}.jsonl") == [{"step": 5}]
