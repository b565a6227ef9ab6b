import pytest
from matplotlib.axes import Axes

from apps.figures.training_curves import draw_training_curves
from tests.apps.figures.run_directories import image_rows, regression_rows, save_run


def test_one_run_gets_its_picture(tmp_path):
    run = save_run(tmp_path / "a", {"metrics": image_rows()})
    picture = draw_training_curves(run)
    assert picture == run / "training_curves.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_more_runs_than_colours_are_all_drawn(tmp_path, monkeypatch):
    drawn = []
    plot = Axes.plot

    def counted(axes, x, y, label, **style):
        drawn.append(label)
        return plot(axes, x, y, label=label, **style)

    monkeypatch.setattr(Axes, "plot", counted)
    runs = [
        save_run(tmp_path / str(seed), {"metrics": image_rows()}, seed=seed)
        for seed in range(9)
    ]
    draw_training_curves(*runs, path=tmp_path / "all.png")
    assert {f"seed {i}" for i in range(9)} == set(drawn)


def test_a_run_that_ended_before_its_first_test_shows_its_training(
    tmp_path, monkeypatch
):
    titles = []
    set_title = Axes.set_title
    monkeypatch.setattr(
        Axes,
        "set_title",
        lambda axes, title, **style: (
            titles.append(title),
            set_title(axes, title, **style),
        ),
    )
    run = save_run(tmp_path / "a", {"metrics": image_rows()[:1]})
    draw_training_curves(run)
    assert titles == ["training loss", "training accuracy"]


def test_a_regression_run_shows_its_squared_error(tmp_path):
    run = save_run(tmp_path / "a", {"metrics": regression_rows()})
    assert draw_training_curves(run).exists()


def test_a_directory_without_records_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json"):
        draw_training_curves(tmp_path)
    run = save_run(tmp_path / "a", {})
    with pytest.raises(ValueError, match=r"has no metrics\.jsonl"):
        draw_training_curves(run)
