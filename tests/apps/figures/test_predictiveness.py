import numpy as np

from apps.training.runs import RunSet
from tests.apps.figures.run_directories import landscape_rows, paper_figure, vgg_run


def test_distances_travelled_are_step_size_times_gradient_norm(runs):
    figure = paper_figure(10).draw(runs)
    axes = figure.axes[0]
    assert len(axes.lines) == 2
    for line in axes.lines:
        np.testing.assert_allclose(line.get_xdata(), [0.15, 0.3, 1.2])
        np.testing.assert_array_equal(line.get_ydata(), [0.1, 0.5, 2.0])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_panels_are_recorded_steps_near_parts_of_training(runs):
    titles = [axes.get_title() for axes in paper_figure(10).draw(runs).axes]
    assert titles == 2 * ["step 0", "step 10", "step 20"]


def test_a_run_that_ended_early_is_missing_from_later_panels(tmp_path, runs):
    others = [run for run in runs.runs if (run.network, run.norm) != ("vgg", "none")]
    short = vgg_run(
        tmp_path / "short",
        {"landscape": landscape_rows()[:1]},
        "none",
        result={"status": "diverged", "step": 10},
    )
    figure = paper_figure(10).draw(RunSet([*others, short]))
    assert [len(axes.lines) for axes in figure.axes[:3]] == [2, 1, 1]
