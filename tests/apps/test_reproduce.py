import os

import pytest

from keras_bnsmooth.records import json_lines
from tests.apps.run_app import error_of, run_app
from tests.apps.run_directories import write_preset


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder like saved_results, with the runs of a preset."""
    folder = tmp_path_factory.mktemp("saved") / "cpu"
    write_preset(folder)
    return folder.parent


def _numbers(saved):
    done = run_app("reproduce", f"--from={saved}")
    assert done.returncode == 0, done.stderr
    report = (saved / "cpu_report" / "report.html").read_text()
    return done.stdout, report


def test_figures_and_report_are_drawn_from_records_alone(saved):
    output, report = _numbers(saved)
    assert "not drawn" not in output
    assert "Left out" not in output
    pictures = sorted(path.name for path in (saved / "cpu_report").glob("*.png"))
    assert pictures == [f"figure_{number:02d}.png" for number in range(1, 17)]
    assert report.count("data:image/png;base64,") == 16


def test_a_changed_record_moves_the_report_and_a_damaged_run_is_named(saved):
    _, before = _numbers(saved)
    (run,) = (saved / "cpu").glob("vgg_none_0.1_0")
    path = run / "landscape.jsonl"
    rows = json_lines.read(path)
    path.unlink()
    for row in rows:
        distances = [7.5 * distance for distance in row["gradient_distances"]]
        json_lines.append(path, {**row, "gradient_distances": distances})
    (saved / "cpu" / "vgg_linf_0.1_0" / "result.json").unlink()
    output, after = _numbers(saved)
    name = "BN smooths the VGG: effective beta"
    cells = [page.partition(name)[2].partition("</tr>")[0] for page in (before, after)]
    assert "1 x (one seed)" in cells[0] and "not borne out</span>" in cells[0]
    assert "7.5 x (one seed)" in cells[1] and "✓ borne out</span>" in cells[1]
    assert f"Left out: {saved}/cpu/vgg_linf_0.1_0: the run is not finished" in output
    assert "figure 11 lacks runs: vgg linf" in output
    suggested = output.partition("figure 11 lacks")[2].splitlines()[0]
    assert "--norm=linf" in suggested and f"--workdir={saved}/cpu/" in suggested
    assert (saved / "cpu_report" / "figure_04.png").exists()
    assert not (saved / "cpu_report" / "figure_11.png").exists()


def test_the_ledger_alone(saved):
    done = run_app("check_claims", saved / "cpu")
    ascii_console = os.environ | {"PYTHONIOENCODING": "ascii"}
    again = run_app("check_claims", saved / "cpu", env=ascii_console)
    expected = done.stdout.encode("ascii", "backslashreplace").decode()
    assert again.stdout == expected != done.stdout
    assert done.returncode == 0, done.stderr
    assert "BN smooths the VGG: loss band" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("undecided.")


def test_mistakes_end_in_one_line(tmp_path):
    assert "holds none of the folders demo, cpu, paper" in error_of(
        run_app("reproduce", f"--from={tmp_path}")
    )
    assert "is not a folder" in error_of(run_app("check_claims", tmp_path / "no"))
    assert "pass one folder" in error_of(run_app("check_claims"))
