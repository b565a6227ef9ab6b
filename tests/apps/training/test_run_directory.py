import json
import subprocess
import sys

import pytest

from apps.errors import UserError
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
    with pytest.raises(UserError, match=r"run with --steps=10 \(asked: 20\); pass"):
        RunDirectory(tmp_path / "run", config(steps=20))
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == config()


def test_free_flags_may_differ(tmp_path):
    RunDirectory(tmp_path / "run", config())
    RunDirectory(tmp_path / "run", config(workdir="x"), free_flags=("workdir",))


def test_a_run_of_an_older_version_can_be_resumed(tmp_path):
    RunDirectory(tmp_path / "run", config())
    RunDirectory(tmp_path / "run", config(strategy="none"))
    with pytest.raises(UserError, match=r"--strategy=none \(asked: mirrored\)"):
        RunDirectory(tmp_path / "run", config(strategy="mirrored"))


def test_a_directory_of_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match=r"no config\.json"):
        RunDirectory(tmp_path, config())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_directory_left_before_its_configuration_is_not_refused(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / "partial-config.json").write_text('{"fl')
    RunDirectory(tmp_path, config())
    assert json.loads((tmp_path / "config.json").read_text()) == config()


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="is a file"):
        RunDirectory(tmp_path / "run", config())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"flags": ', r"config\.json is truncated or damaged"),
        ("{}", r"config\.json has no entry 'flags'; it is another file"),
        ('{"flags": ["norm"]}', r"config\.json has \['norm'\] as flags"),
        ("[]", r"config\.json holds \[\] instead of a JSON object"),
    ],
)
def test_a_damaged_configuration_is_named(tmp_path, text, problem):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=problem):
        RunDirectory(tmp_path, config())


def test_a_damaged_record_is_named(tmp_path):
    run = RunDirectory(tmp_path / "run", config())
    run.metrics.write_text("damaged\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 1"):
        run.restore_records(None, 5)


def test_all_records_lose_what_will_be_written_again(tmp_path):
    run = RunDirectory(tmp_path / "run", config())
    for name in ("metrics", "landscape"):
        for step in (5, 10):
            json_lines.append(run.path / f"{name}.jsonl", {"step": step})
    run.restore_records(None, 5)
    for name in ("metrics", "landscape"):
        assert json_lines.read(run.path / f"{name}.jsonl") == [{"step": 5}]


def test_records_return_to_what_they_were(tmp_path):
    run = RunDirectory(tmp_path / "run", config())
    json_lines.append(run.metrics, {"step": 5})
    then = run.checksums()
    json_lines.append(run.metrics, {"step": 10})
    json_lines.append(run.path / "new.jsonl", {"step": 6})
    run.restore_records(then, 5)
    assert json_lines.read(run.metrics) == [{"step": 5}]
    assert json_lines.read(run.path / "new.jsonl") == []


@pytest.mark.parametrize("found", ["other", None])
def test_other_images_of_the_same_name_are_noticed(tmp_path, found):
    there = config() | ({"data_checksum": found} if found else {})
    RunDirectory(tmp_path / "run", there)
    asked = config() | {"data_checksum": "these"}
    if found is None:  # as older versions leave it
        RunDirectory(tmp_path / "run", asked)
    else:
        with pytest.raises(UserError, match="run on other images"):
            RunDirectory(tmp_path / "run", asked)


HOLD = """
import sys
from apps.training import run_directory
directory, hold_before_config = sys.argv[1:]
def hold(*arguments):
    print("held", flush=True)
    sys.stdin.read()
if hold_before_config == "yes":
    run_directory._write_json = hold
run = run_directory.RunDirectory(directory, {"flags": {"norm": "bn"}})
hold()
"""


@pytest.mark.parametrize("before_config", ["yes", "no"])
def test_two_processes_do_not_write_the_same_run(tmp_path, before_config):
    """Not even while the first one is about to write its configuration."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "run", before_config],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    same = {"flags": {"norm": "bn"}}
    with other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="in use by another process; wait"):
            RunDirectory(tmp_path / "run", same)
        other.kill()
    # However it ended, the next process can resume the run and open it repeatedly.
    first = RunDirectory(tmp_path / "run", same)
    assert RunDirectory(tmp_path / "run", same).path == first.path
