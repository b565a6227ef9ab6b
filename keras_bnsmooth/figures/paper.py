"""All figures of the paper, each drawn from the records of runs alone.

runs = read_runs("runs/cpu")
for figure in FIGURES:
    figure.draw(runs).savefig(f"figure{figure.number}.png")
"""

import dataclasses
from collections.abc import Callable

from keras_bnsmooth.figures import (
    landscape,
)
from keras_bnsmooth.figures.needs import check, need
from keras_bnsmooth.figures.settings import DLN, VGG


@dataclasses.dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper.

    Attributes:
        number: In the paper.
        title: What it shows, in a few words.
        drawing: Function from a `RunSet` that meets the needs to a matplotlib
            `Figure`.
        text: Function from such a `RunSet` to the caption.
        needs: The `Need` of it, a tuple.
    """

    number: int
    title: str
    drawing: Callable
    text: Callable
    needs: tuple

    def draw(self, runs):
        """Returns the matplotlib `Figure`.

        Args:
            runs: A `RunSet`.

        Raises:
            MissingRunsError: Runs are missing.
        """
        check(self.number, self.needs, runs)
        return self.drawing(runs)

    def caption(self, runs):
        """Returns what is shown, of which networks, data and seeds, as plain text.

        Args:
            runs: A `RunSet`.

        Raises:
            MissingRunsError: Runs are missing.
        """
        check(self.number, self.needs, runs)
        return self.text(runs)


FIGURES = (
    PaperFigure(
        4,
        "The optimization landscape of the VGG",
        landscape.draw_vgg,
        landscape.caption_vgg,
        need([VGG], landscape.NORMS, "landscape"),
    ),
    PaperFigure(
        9,
        "The optimization landscape of the deep linear network",
        landscape.draw_dln,
        landscape.caption_dln,
        need(DLN, landscape.NORMS, "landscape"),
    ),
)
