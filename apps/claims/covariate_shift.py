"""Claims about internal covariate shift, judged layer by layer."""

import numpy as np

from apps.claims.claim import Claim, Rule
from apps.claims.elsewhere import DLN_ELSEWHERE, DLN_RATES
from apps.claims.statistics import covariate_shift
from apps.settings import DLN, VGG

_PAIR = ("none", "bn")
_ELSEWHERE = {"vgg": (VGG.having("depth 11", depth="11"),), "dln": DLN_ELSEWHERE}
_LAYERS = "the linear layers but the first, which nothing precedes"


def _share(layers):
    """The percentage of layers for which a condition is true."""
    return 100 * np.mean(layers)


def _turning(cosine):
    """The median of 1 - cosine over training, per layer."""
    return np.nanmedian(1 - cosine, axis=0)


def _turns_as_much(runs):
    shift = covariate_shift(runs, "cosine")
    return _share(_turning(shift["bn"]) >= 0.8 * _turning(shift["none"]))


def _changes_as_much(runs):
    shift = covariate_shift(runs, "l2")
    change = {norm: np.nanmedian(values, axis=0) for norm, values in shift.items()}
    return _share(change["bn"] >= 0.8 * change["none"])


def _always_aligned(runs):
    cosine = covariate_shift(runs, "cosine")["none"]
    return _share(np.nanmin(cosine, axis=0) >= 0.9)


def _uncorrelated(runs):
    cosine = covariate_shift(runs, "cosine")["bn"]
    return _share(np.nanmedian(np.abs(cosine), axis=0) <= 0.3)


COVARIATE_SHIFT = (
    *(
        Claim(
            f"ICS of the {setting.network.upper()} is similar or worse with BN: {what}",
            f"Section 2.2, figures 3{panel} and 6{panel}",
            "Models with BatchNorm have similar, or even worse, internal covariate "
            "shift.",
            "similar or worse",
            setting,
            _PAIR,
            f"Share of {_LAYERS} whose {symbol}, median over training, is with BN at "
            "least 0.8 times that of the standard network.",
            "% of layers",
            Rule(80.0, 50.0),
            measure,
            "Figure 6",
            elsewhere=_ELSEWHERE[setting.network],
        )
        for setting, panel in ((VGG, "a"), (DLN, "b"))
        for what, symbol, measure in (
            ("direction", "1 - cos(G, G')", _turns_as_much),
            ("l2 difference", "||G - G'||", _changes_as_much),
        )
    ),
    Claim(
        "The standard DLN has almost no ICS",
        "Section 2.2, figure 3b",
        "The standard network experiences almost no ICS for the entirety of training.",
        "cosine near 1 throughout",
        DLN,
        ("none",),
        f"Share of {_LAYERS} whose cos(G, G') is at least 0.9 in every measurement.",
        "% of layers",
        Rule(90.0, 50.0),
        _always_aligned,
        "Figure 6",
        elsewhere=DLN_RATES,
    ),
    Claim(
        "In the DLN with BN, G and G' are almost uncorrelated",
        "Section 2.2, figure 3b",
        "For BatchNorm it appears that G and G' are almost uncorrelated.",
        "cosine near 0",
        DLN,
        ("bn",),
        f"Share of {_LAYERS} whose |cos(G, G')|, median over training, is at most 0.3.",
        "% of layers",
        Rule(90.0, 50.0),
        _uncorrelated,
        "Figure 6",
        elsewhere=DLN_ELSEWHERE,
    ),
)
