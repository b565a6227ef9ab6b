"""Claims about the distributions of layer inputs, and internal covariate shift."""

import numpy as np

from apps.claims.claim import Claim, Rule
from apps.claims.statistics import covariate_shift, distribution_shift, median_ratio
from apps.settings import LP_NORMS

_SHIFTS = (
    "Shift of the mean (in standard deviations) and of the variance (relative) of "
    "layer inputs between {}, medians over layers and training: "
)


def _shift_ratios(runs, norm, successive):
    """Shifts of the mean and of the variance, each over the standard network's."""
    shift, standard = (
        np.array(distribution_shift(runs[name], successive)) for name in (norm, "none")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return shift / standard


def _shift_factor(runs):
    with np.errstate(divide="ignore"):
        logs = np.log(_shift_ratios(runs, "bn", successive=False))
    return np.exp(np.max(np.abs(logs)))


def _smallest_shift_ratio(norms, successive):
    return lambda runs: np.min(
        [_shift_ratios(runs, norm, successive) for norm in norms]
    )


def _turning_ratio(runs):
    shift = covariate_shift(runs, "cosine")
    return median_ratio(1 - shift["bn"], 1 - shift["none"])


def _difference_ratio(runs):
    shift = covariate_shift(runs, "l2")
    return median_ratio(shift["bn"], shift["none"])


DISTRIBUTIONS = (
    Claim(
        "BN hardly changes the stability of distributions",
        "Section 2, figure 1c",
        "The difference in distributional stability (change in the mean and variance) "
        "in networks with and without BatchNorm layers seems to be marginal.",
        "marginal",
        "vgg",
        ("none", "bn"),
        _SHIFTS.format("measurements") + "the larger of the two factors, in either "
        "direction, between the networks.",
        Rule(2.0, 4.0),
        _shift_factor,
    ),
    Claim(
        "Noisy BN is less stable than the standard network",
        "Section 2.1, figures 2 and 7",
        "The noisy BatchNorm network has qualitatively less stable distributions than "
        "even the standard, non-BatchNorm network.",
        "significantly less stable",
        "vgg",
        ("none", "noisy_bn"),
        _SHIFTS.format("two successive steps") + "the smaller of the two ratios of "
        "noisy BN to the standard network.",
        Rule(2.0, 1.0),
        _smallest_shift_ratio(["noisy_bn"], successive=True),
    ),
    Claim(
        "l1, l2 and linf shift distributions more than no norm",
        "Section 3.3, figure 14",
        "The lp-normalization techniques lead to larger distributional shift than the "
        "vanilla networks.",
        "larger",
        "vgg",
        ("none", *LP_NORMS),
        _SHIFTS.format("measurements") + "the smallest of the six ratios to the "
        "standard network.",
        Rule(1.25, 1.0),
        _smallest_shift_ratio(LP_NORMS, successive=False),
    ),
    *(
        Claim(
            f"ICS with BN is similar or worse: {name}",
            "Section 2.2, figure 3a",
            "Models with BatchNorm have similar, or even worse, internal covariate "
            "shift.",
            "similar or worse",
            "vgg",
            ("none", "bn"),
            f"Median of {symbol} over training and the layers both networks share: "
            "with BN divided by without.",
            Rule(0.8, 0.5),
            measure,
        )
        for name, symbol, measure in (
            ("direction", "1 - cos(G, G')", _turning_ratio),
            ("l2 difference", "||G - G'||", _difference_ratio),
        )
    ),
    Claim(
        "The standard DLN has almost no ICS",
        "Section 2.2, figure 3b",
        "The standard network experiences almost no ICS for the entirety of training.",
        "cosine near 1",
        "dln",
        ("none", "bn"),
        "Median of cos(G, G') in the standard network, over training and layers.",
        Rule(0.95, 0.8),
        lambda runs: np.nanmedian(covariate_shift(runs, "cosine")["none"]),
    ),
    Claim(
        "In the DLN with BN, G and G' are almost uncorrelated",
        "Section 2.2, figure 3b",
        "For BatchNorm it appears that G and G' are almost uncorrelated.",
        "cosine near 0",
        "dln",
        ("none", "bn"),
        "Median of |cos(G, G')| with BN, over training and the linear layers.",
        Rule(0.3, 0.6),
        lambda runs: np.nanmedian(np.abs(covariate_shift(runs, "cosine")["bn"])),
    ),
)
