import numpy as np

from tests.apps.figures.run_directories import paper_figure, texts


def test_every_norm_has_its_curve_and_its_bands_before_the_standard_ones(runs):
    training, beta, *panels = paper_figure(11).draw(runs).axes
    assert len(training.lines) == len(beta.lines) == 5
    assert len(panels) == 2 * 4
    for axes in panels:
        assert len(axes.collections) == 2
        assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(beta.lines[3].get_ydata(), [7, 17, 27])
    assert panels[0].get_title() == "(b) loss landscape, BN"
    assert panels[7].get_title() == r"(c) gradients, $\ell_\infty$"


def test_the_dln_has_a_logarithmic_curve_and_the_edge_of_stability(runs):
    figure = paper_figure(12).draw(runs)
    assert len(figure.axes) == 10
    training = figure.axes[0]
    assert training.get_yscale() == "log"
    np.testing.assert_allclose(training.lines[0].get_ydata(), [10, 5, 10 / 3])
    assert "2 / learning rate" in texts(figure)
    assert "2 / learning rate" not in texts(paper_figure(11).draw(runs))
