"""How each normalization looks, the same in all figures.

Okabe and Ito's colours, which the colour-blind tell apart; dashes of its own for each
line, and a hatch of its own for each band, which do it in black and white.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Style:
    """The look of one normalization.

    Attributes:
        label: Its name in legends, in matplotlib's mathtext.
        color: Hexadecimal.
        dashes: Matplotlib's `linestyle`.
        hatch: Of bands.
        opacity: Of the filling of bands.
        marker: On lines, at every tenth of their length; none if empty.
    """

    label: str
    color: str
    dashes: str | tuple
    hatch: str
    opacity: float = 0.3
    marker: str = ""

    @property
    def line(self):
        """Arguments for a line."""
        return {
            "color": self.color,
            "linestyle": self.dashes,
            "marker": self.marker,
            "markersize": 4,
            "markevery": 0.1,
        }

    @property
    def band(self):
        """Arguments for a band, whose edges look as the line does."""
        return {
            "facecolor": (self.color, self.opacity),
            "edgecolor": self.color,
            "linestyle": self.dashes,
            "linewidth": 0.9,
            "hatch": self.hatch,
        }


STYLES = {
    # Black would hide what lies beneath it, so its filling is the thinnest.
    "none": Style("standard", "#000000", "-", "////", opacity=0.12),
    "bn": Style("BN", "#0072B2", "--", "", opacity=0.4),
    "noisy_bn": Style("noisy BN", "#D55E00", "-.", "\\\\\\\\"),
    "noise": Style("standard + noise", "#CC79A7", (0, (8, 1.5)), "xxxx"),
    "l1": Style(r"$\ell_1$", "#009E73", ":", "...."),
    "l2": Style(r"$\ell_2$", "#E69F00", (0, (4, 1, 1, 1, 1, 1)), "||||"),
    "linf": Style(r"$\ell_\infty$", "#56B4E9", (0, (9, 2)), "----"),
}
