import numpy as np
import pytest

from tests.apps.figures.run_directories import paper_figure, texts


def test_lines_are_those_of_the_same_layer_in_both_networks(runs):
    cosine_one, cosine_two, l2_one, l2_two = paper_figure(3).draw(runs).axes[:4]
    # Layer two is the second of the standard network, and the third with BN.
    standard, bn = (line.get_ydata() for line in l2_two.lines)
    np.testing.assert_array_equal(standard, [2, 12, 22])
    np.testing.assert_array_equal(bn, [3, 13, 23])
    standard, bn = (line.get_ydata() for line in cosine_two.lines)
    np.testing.assert_allclose(bn, 1 / np.array([3, 13, 23]))
    np.testing.assert_array_equal(cosine_one.lines[0].get_xdata(), [0, 10, 20])
    assert l2_one.get_yscale() == "log"
    assert cosine_one.get_yscale() == "linear"
    assert cosine_one.get_ylim() == pytest.approx((-1.05, 1.05))


def test_vgg_and_dln_are_shown_and_named(runs):
    figure = paper_figure(3).draw(runs)
    assert len(figure.axes) == 2 * 4
    for text in ("(a) VGG", "(b) DLN", "two (2 of 3)", "standard", "BN"):
        assert text in texts(figure)


def test_figure_6_shows_all_layers_of_a_small_network(runs):
    assert len(paper_figure(6).draw(runs).axes) == 2 * 2 * 3
