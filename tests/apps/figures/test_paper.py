import math

import pytest
from matplotlib.figure import Figure

from apps.figures.paper import FIGURES, MissingRunsError
from apps.settings import DLN, VGG_FAST
from apps.training.runs import RunSet
from tests.apps.figures.run_directories import (
    activation_rows,
    complete_set,
    ics_rows,
    image_rows,
    landscape_rows,
    layers_of,
    paper_figure,
    vgg_run,
)


def test_the_catalogue_has_every_figure_of_the_paper_and_two_of_ours():
    assert [figure.number for figure in FIGURES] == list(range(1, 17))


@pytest.mark.parametrize("number", range(1, 17))
def test_every_figure_is_drawn_and_described(runs, number):
    drawn = paper_figure(number).draw(runs)
    assert isinstance(drawn, Figure)
    caption = paper_figure(number).caption(runs)
    if number != 5:
        assert "seed 0" in caption
        assert f"{3000 if number == 16 else 30:,} steps" in caption


@pytest.mark.parametrize("number", range(1, 17))
def test_what_is_not_a_number_breaks_no_figure(tmp_path, number):
    nan = math.nan
    layers = layers_of("none")
    broken = complete_set(
        tmp_path,
        metrics=[{"step": 10, "loss": math.inf, "accuracy": nan}],
        landscape=landscape_rows(
            beta=nan,
            losses=[1.0, math.inf, nan],
            gradient_distances=[nan] * 3,
            gradient_norm=math.inf,
        ),
        ics=[
            row | {"cosine": [nan] * 3, "l2": [math.inf] * 3}
            for row in ics_rows(layers)
        ],
        activations=activation_rows(
            layers,
            mean=[nan] * 3,
            variance=[math.inf] * 3,
            minimum=[nan] * 3,
            maximum=[nan] * 3,
            counts=[[0] * 4] * 3,
        ),
    )
    # Lays out and draws everything, but writes no file.
    paper_figure(number).draw(broken).draw_without_rendering()
    paper_figure(number).caption(broken)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (1, "figure 1 lacks runs: vgg bn with activations"),
        (4, "figure 4 lacks runs: vgg bn with landscape"),
        (
            9,
            "figure 9 lacks runs: dln none, dln bn with landscape",
        ),
    ],
)
def test_missing_runs_are_named_in_one_line(tmp_path, number, message):
    runs = RunSet([vgg_run(tmp_path / "none", norm="none")])
    with pytest.raises(MissingRunsError) as error:
        paper_figure(number).draw(runs)
    assert str(error.value) == message
    with pytest.raises(ValueError, match="lacks runs"):
        paper_figure(number).caption(runs)


def test_missing_runs_are_told_by_their_settings():
    with pytest.raises(MissingRunsError) as error:
        paper_figure(8).draw(RunSet([]))
    assert error.value.missing[1] == (DLN, "bn")
    error = MissingRunsError(8, [(VGG_FAST, "bn")], ("ics",))
    assert "lacks runs: vgg bn --learning_rate=0.5 with ics" in str(error)


def test_a_run_without_the_record_does_not_count(tmp_path):
    runs = RunSet(
        [
            vgg_run(tmp_path / norm, {"metrics": image_rows()}, norm)
            for norm in ("none", "bn")
        ]
    )
    with pytest.raises(MissingRunsError, match="vgg none, vgg bn with landscape"):
        paper_figure(4).draw(runs)
