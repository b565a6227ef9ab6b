import json

import pytest

from keras_bnsmooth.figures.landscape import draw_landscape
from keras_bnsmooth.figures.runs import label_runs
from keras_bnsmooth.figures.training_curves import draw_training_curves
from keras_bnsmooth.records import json_lines


def save_run(path, rows, **flags):
    path.mkdir()
    config = {"flags": {"norm": "bn", "seed": 0, "workdir": str(path), **flags}}
    (path / "config.json").write_text(json.dumps(config))
    for row in rows:
        json_lines.append(path / "metrics.jsonl", row)
    return path


def image_rows(steps):
    return [
        {"step": s, "loss": 1 / s, "accuracy": 0.5, "test_accuracy": 0.4} for s in steps
    ]


def test_one_run_gets_its_picture(tmp_path):
    run = save_run(tmp_path / "a", image_rows([10, 20]))
    picture = draw_training_curves(run)
    assert picture == run / "training_curves.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_more_runs_than_colours_are_all_drawn(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    plot = Axes.plot

    def counted(axes, x, y, label, **style):
        drawn.append(label)
        return plot(axes, x, y, label=label, **style)

    monkeypatch.setattr(Axes, "plot", counted)
    runs = [save_run(tmp_path / str(i), image_rows([10]), seed=i) for i in range(9)]
    draw_training_curves(*runs, path=tmp_path / "all.png")
    assert {f"seed {i}" for i in range(9)} == set(drawn)


def test_a_regression_run_shows_its_squared_error(tmp_path):
    rows = [{"step": s, "loss": 1.0, "squared_error": 10.0 / s} for s in (1, 2)]
    assert draw_training_curves(save_run(tmp_path / "a", rows)).exists()


def test_labels_are_the_flags_in_which_runs_differ():
    configs = [
        {"flags": {"norm": norm, "depth": depth, "workdir": f"{norm}{depth}"}}
        for norm, depth in [("bn", 11), ("bn", 13)]
    ]
    assert label_runs(configs) == ["depth 11", "depth 13"]
    configs[1]["flags"]["depth"] = 11
    configs[1]["flags"]["norm"] = "l1"
    assert label_runs(configs) == ["bn", "l1"]


def test_a_directory_without_records_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"it has no config\.json"):
        draw_training_curves(tmp_path)
    run = save_run(tmp_path / "a", [])
    with pytest.raises(ValueError, match=r"it has no metrics\.jsonl"):
        draw_training_curves(run)


def test_landscapes_are_drawn_with_what_is_not_a_number(tmp_path):
    run = save_run(tmp_path / "a", [])
    for step, beta in ((0, 2.0), (50, float("nan"))):
        json_lines.append(
            run / "landscape.jsonl",
            {
                "step": step,
                "beta": beta,
                "losses": [1.0, 2.0],
                "gradient_distances": [0.1, beta],
            },
        )
    assert draw_landscape(run, run, path=tmp_path / "landscape.png").exists()
    with pytest.raises(ValueError, match=r"it has no landscape\.jsonl"):
        draw_landscape(save_run(tmp_path / "b", []), path=tmp_path / "b.png")
