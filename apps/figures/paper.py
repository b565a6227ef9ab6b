"""All figures of the paper, each drawn from the records of runs alone.

runs = read_runs("runs/cpu")
for figure in FIGURES:
    figure.draw(runs).savefig(f"figure{figure.number}.png")
"""

import dataclasses
from collections.abc import Callable
from functools import partial

from apps.figures import (
    distributions,
    ics,
    landscape,
    lp_norms,
    moments,
    performance,
    predictiveness,
    theory_diagram,
)
from apps.figures.needs import check, need
from apps.settings import DLN, VGG


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
        1,
        "Performance with and without batch normalization",
        performance.draw_basic,
        performance.caption_basic,
        need([VGG], performance.BASIC, "metrics", "activations"),
    ),
    PaperFigure(
        2,
        "Distributional stability and performance",
        performance.draw_noisy,
        performance.caption_noisy,
        need([VGG], performance.NOISY, "metrics", "activations"),
    ),
    PaperFigure(
        3,
        "Internal covariate shift of two layers",
        ics.draw_two_layers,
        ics.caption_two_layers,
        need(ics.SETTINGS, ics.NORMS, "ics"),
    ),
    PaperFigure(
        4,
        "The optimization landscape of the VGG",
        partial(landscape.draw, settings=[VGG]),
        partial(landscape.caption, settings=[VGG]),
        need([VGG], landscape.NORMS, "landscape"),
    ),
    PaperFigure(
        5,
        "The two networks of the theory",
        theory_diagram.draw,
        theory_diagram.caption,
        (),
    ),
    PaperFigure(
        6,
        "Internal covariate shift of more layers",
        ics.draw_more_layers,
        ics.caption_more_layers,
        need(ics.SETTINGS, ics.NORMS, "ics"),
    ),
    PaperFigure(
        7,
        "Change of moments between successive steps",
        moments.draw,
        moments.caption,
        need([VGG], moments.NORMS, "activations"),
    ),
    PaperFigure(
        8,
        "Distributions in the deep linear network",
        distributions.draw_dln,
        distributions.caption_dln,
        need(DLN, distributions.DLN_NORMS, "activations"),
    ),
    PaperFigure(
        9,
        "The optimization landscape of the deep linear network",
        partial(landscape.draw, settings=DLN),
        partial(landscape.caption, settings=DLN),
        need(DLN, landscape.NORMS, "landscape"),
    ),
    PaperFigure(
        10,
        "Predictiveness of gradients over distance",
        predictiveness.draw,
        predictiveness.caption,
        need(predictiveness.SETTINGS, predictiveness.NORMS, "landscape"),
    ),
    PaperFigure(
        11,
        "All normalizations in the VGG",
        partial(lp_norms.draw, settings=[VGG]),
        partial(lp_norms.caption, settings=[VGG]),
        need([VGG], lp_norms.NORMS, "landscape"),
    ),
    PaperFigure(
        12,
        "All normalizations in the deep linear network",
        partial(lp_norms.draw, settings=DLN),
        partial(lp_norms.caption, settings=DLN),
        need(DLN, lp_norms.NORMS, "landscape"),
    ),
    PaperFigure(
        13,
        "Training with all normalizations",
        performance.draw_lp,
        performance.caption_lp,
        need([VGG, *DLN], performance.LP, "metrics"),
    ),
    PaperFigure(
        14,
        "Distributions under all normalizations",
        distributions.draw_vgg,
        distributions.caption_vgg,
        need([VGG], distributions.VGG_NORMS, "activations"),
    ),
)
