import numpy as np

from apps.training.runs import RunSet
from tests.apps.figures.run_directories import image_rows, paper_figure, texts, vgg_run


def test_accuracies_are_those_of_the_record(runs):
    training, test = paper_figure(1).draw(runs).axes[:2]
    np.testing.assert_allclose(training.lines[0].get_ydata(), [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(training.lines[0].get_xdata(), [10, 20, 30])
    np.testing.assert_allclose(test.lines[1].get_xydata(), [[20, 0.1]])


def test_another_learning_rate_is_marked_and_its_divergence_told(tmp_path, runs):
    more = [
        vgg_run(
            tmp_path / norm,
            {"metrics": image_rows(2.0)},
            norm,
            learning_rate=0.5,
            result=result,
        )
        for norm, result in (
            ("none", {"status": "finished"}),
            ("bn", {"status": "diverged", "step": 40}),
        )
    ]
    assert len(paper_figure(1).draw(runs).axes[0].lines) == 2
    runs = RunSet([*runs.runs, *more])
    figure = paper_figure(1).draw(runs)
    assert len(figure.axes[0].lines) == 4
    marked = figure.axes[0].lines[3]
    assert marked.get_marker() == "o"
    np.testing.assert_allclose(marked.get_ydata(), [0.2, 0.4, 0.6])
    assert "BN, learning rate 0.5" in texts(figure)
    caption = paper_figure(1).caption(runs)
    assert "Marked lines: learning rate 0.5." in caption
    assert "VGG BN (learning rate 0.5, seed 0) diverged within 40 steps." in caption


def test_noise_alone_is_shown_where_there_are_runs_of_it(runs):
    assert len(paper_figure(2).draw(runs).axes[0].lines) == 4
    without = RunSet([run for run in runs.runs if run.norm != "noise"])
    figure = paper_figure(2).draw(without)
    assert len(figure.axes[0].lines) == 3
    assert "standard + noise" not in texts(figure)


def test_figure_13_shows_accuracy_of_the_vgg_and_loss_of_the_dln(runs):
    figure = paper_figure(13).draw(runs)
    vgg, dln = figure.axes
    assert (vgg.get_yscale(), dln.get_yscale()) == ("linear", "log")
    np.testing.assert_allclose(dln.lines[4].get_ydata(), [10, 5, 10 / 3])
    for label in ("standard", "BN", r"$\ell_1$", r"$\ell_2$", r"$\ell_\infty$"):
        assert label in texts(figure)
