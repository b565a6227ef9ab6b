"""Line and band styles, the same for a normalization in every figure.

The colors are Okabe and Ito's, which color-blind readers can tell apart. Every style
also has its own dashes and hatch, so that figures remain readable in black and white.
"""

import dataclasses
import itertools
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Style:
    """How the lines and bands of one run are drawn.

    Attributes:
        label: Legend entry; may contain matplotlib's mathtext.
        color: Hexadecimal color, `"#RRGGBB"`.
        dashes: Matplotlib's `linestyle`.
        hatch: Hatch of bands.
        opacity: Opacity of the filling of bands.
        marker: Marker at every tenth of a line's length; none if empty.
    """

    label: str
    color: str
    dashes: str | tuple
    hatch: str
    opacity: float = 0.3
    marker: str = ""

    @property
    def line(self) -> dict:
        """Keyword arguments for a line."""
        return {
            "color": self.color,
            "linestyle": self.dashes,
            "marker": self.marker,
            "markersize": 4,
            "markevery": 0.1,
        }

    @property
    def band(self) -> dict:
        """Keyword arguments for a band, with edges that match the line."""
        return {
            "facecolor": (self.color, self.opacity),
            "edgecolor": self.color,
            "linestyle": self.dashes,
            "linewidth": 0.9,
            "hatch": self.hatch,
        }


STYLES = {
    # Black hides what lies beneath it, so its filling is the most transparent.
    "none": Style("standard", "#000000", "-", "////", opacity=0.12),
    "bn": Style("BN", "#0072B2", "--", "", opacity=0.4),
    "noisy_bn": Style("noisy BN", "#D55E00", "-.", "\\\\\\\\"),
    "noise": Style("standard + noise", "#CC79A7", (0, (8, 1.5)), "xxxx"),
    "l1": Style(r"$\ell_1$", "#009E73", ":", "...."),
    "l2": Style(r"$\ell_2$", "#E69F00", (0, (4, 1, 1, 1, 1, 1)), "||||"),
    "linf": Style(r"$\ell_\infty$", "#56B4E9", (0, (9, 2)), "----"),
}
MARKERS = "os^Dv"


def assign_styles(labels: Sequence[str]) -> list[Style]:
    """Returns a style per label, which it carries as its legend entry.

    Names of normalizations (keys of `STYLES`) get the style of that normalization,
    other labels the next style that is still free. When none is left, styles repeat
    with markers.
    """
    free = [style for norm, style in STYLES.items() if norm not in labels]
    unused = itertools.cycle(
        dataclasses.replace(style, marker=marker)
        for marker in ("", *MARKERS)
        for style in free or STYLES.values()
    )
    return [
        dataclasses.replace(STYLES.get(label) or next(unused), label=label)
        for label in labels
    ]
