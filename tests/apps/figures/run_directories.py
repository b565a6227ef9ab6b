"""The paper's figures, and the run directories they are drawn from in tests."""

from matplotlib.text import Text

from apps.figures.paper import FIGURES
from tests.apps.run_directories import (  # noqa: F401 - for the tests of figures
    activation_rows,
    complete_set,
    dln_run,
    ics_rows,
    image_rows,
    landscape_rows,
    layers_of,
    regression_rows,
    save_run,
    vgg_run,
)


def paper_figure(number):
    """Returns the figure of this number from the catalogue."""
    return next(figure for figure in FIGURES if figure.number == number)


def texts(figure):
    """Returns titles, labels and legends of a figure, joined."""
    return "\n".join(text.get_text() for text in figure.findobj(Text))
