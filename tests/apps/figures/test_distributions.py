from tests.apps.figures.run_directories import paper_figure


def test_panels_show_the_same_linear_layers_of_every_network(runs):
    figure = paper_figure(14).draw(runs)
    assert len(figure.axes) == 2 * 5
    titles = [axes.get_title() for axes in figure.axes]
    # Layers one and two of three; their units are the places in the record.
    assert titles[0] == "standard\none, unit 0"
    assert titles[1] == "BN\none, unit 0"
    assert titles[9] == "$\\ell_\\infty$\ntwo, unit 2"


def test_the_dln_has_a_row_for_each_norm(runs):
    figure = paper_figure(8).draw(runs)
    titles = [axes.get_title().split("\n")[0] for axes in figure.axes]
    assert titles == 2 * ["standard"] + 2 * ["BN"]


def test_the_caption_says_what_a_ridge_is(runs):
    caption = paper_figure(14).caption(runs)
    assert "random unit" in caption
    assert "pictures of nothing" in caption
