import numpy as np

from apps.figures.activations import moment_changes
from tests.apps.figures.run_directories import paper_figure, texts


def test_changes_are_those_between_steps_that_differ_by_one():
    record = {
        "step": np.array([0, 1, 10, 20, 21]),
        "mean": np.array([1.0, 4.0, 7.0, 8.0, 6.0]),
        "variance": np.array([1.0, 1.5, 7.0, 2.0, 2.25]),
    }
    changes = moment_changes(record)
    np.testing.assert_array_equal(changes["step"], [0, 20])
    np.testing.assert_array_equal(changes["mean"], [3, 2])
    np.testing.assert_array_equal(changes["variance"], [0.5, 0.25])


def test_each_network_has_its_line(runs):
    figure = paper_figure(7).draw(runs)
    mean, variance = figure.axes[:2]
    for axes in (mean, variance):
        assert len(axes.lines) == 3
        assert axes.get_yscale() == "log"
    # (t + 1) ** 2 - t ** 2 at t = 0, 10, 20.
    np.testing.assert_array_equal(mean.lines[2].get_ydata(), [1, 21, 41])
    np.testing.assert_array_equal(variance.lines[0].get_ydata(), [1, 1, 1])
    for text in ("standard", "BN", "noisy BN", "change of the variance"):
        assert text in texts(figure)
