"""Claims about the distributions of layer inputs, and internal covariate shift."""

import numpy as np

from apps.claims.claim import Claim, Rule
from apps.claims.statistics import covariate_shift, distribution_shift
from apps.settings import LP_NORMS


def _shift_ratios(runs, norm, successive):
    """Shifts of the mean and of the variance: a norm over the standard network."""
    shift, standard = (
        np.array(distribution_shift(runs[name], successive)) for name in (norm, "none")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return shift / standard


def _shift_factor(runs):
    """The larger of the two factors, upwards or downwards, between the networks."""
    with np.errstate(divide="ignore"):
        logs = np.log(_shift_ratios(runs, "bn", successive=False))
    return np.exp(np.max(np.abs(logs)))


def _least_shift_ratio(norms, successive):
    """The least ratio to the standard network, over norms, of mean and variance."""
    return lambda runs: np.min(
        [_shift_ratios(runs, norm, successive) for norm in norms]
    )


def _median_shift_ratio(quantity):
    def measure(runs):
        shift = covariate_shift(runs, quantity)
        if quantity == "cosine":
            shift = {norm: 1 - values for norm, values in shift.items()}
        return np.nanmedian(shift["bn"]) / np.nanmedian(shift["none"])

    return measure


def _median_cosine(norm):
    return lambda runs: np.nanmedian(covariate_shift(runs, "cosine")[norm])


DISTRIBUTIONS = (
    Claim(
        "BN hardly changes the stability of distributions",
        "Section 2, figure 1c",
        "The difference in distributional stability (change in the mean and variance) "
        "in networks with and without BatchNorm layers seems to be marginal.",
        "marginal",
        "vgg",
        ("none", "bn"),
        "Shift of the mean (in standard deviations) and of the variance (relative) of "
        "layer inputs between measurements, medians over layers and training: the "
        "larger of the two factors between the networks.",
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
        "Shift of the mean (in standard deviations) and of the variance (relative) of "
        "layer inputs between two successive steps, medians over layers and training: "
        "the lesser of the two ratios of noisy BN to the standard network.",
        Rule(2.0, 1.0),
        _least_shift_ratio(["noisy_bn"], successive=True),
    ),
    Claim(
        "l1, l2 and linf shift distributions more than no norm",
        "Section 3.3, figure 14",
        "The lp-normalization techniques lead to larger distributional shift than the "
        "vanilla networks.",
        "larger",
        "vgg",
        ("none", *LP_NORMS),
        "Shift of the mean (in standard deviations) and of the variance (relative) of "
        "layer inputs between measurements, medians over layers and training: the "
        "least of the six ratios to the standard network.",
        Rule(1.25, 1.0),
        _least_shift_ratio(LP_NORMS, successive=False),
    ),
    Claim(
        "ICS with BN is similar or worse: direction",
        "Section 2.2, figure 3a",
        "Models with BatchNorm have similar, or even worse, internal covariate shift.",
        "similar or worse",
        "vgg",
        ("none", "bn"),
        "1 - cos(G, G'), median over training and the layers that both have: with BN "
        "over without.",
        Rule(0.8, 0.5),
        _median_shift_ratio("cosine"),
    ),
    Claim(
        "ICS with BN is similar or worse: l2 difference",
        "Section 2.2, figure 3a",
        "Models with BatchNorm have similar, or even worse, internal covariate shift.",
        "similar or worse",
        "vgg",
        ("none", "bn"),
        "||G - G'||, median over training and the layers that both have: with BN over "
        "without.",
        Rule(0.8, 0.5),
        _median_shift_ratio("l2"),
    ),
    Claim(
        "The standard DLN has almost no ICS",
        "Section 2.2, figure 3b",
        "The standard network experiences almost no ICS for the entirety of training.",
        "cosine near 1",
        "dln",
        ("none", "bn"),
        "cos(G, G') of the standard network, median over training and layers.",
        Rule(0.95, 0.8),
        _median_cosine("none"),
    ),
    Claim(
        "In the DLN with BN, G and G' are almost uncorrelated",
        "Section 2.2, figure 3b",
        "For BatchNorm it appears that G and G' are almost uncorrelated.",
        "cosine near 0",
        "dln",
        ("none", "bn"),
        "|cos(G, G')| with BN, median over training and the linear layers.",
        Rule(0.3, 0.6),
        lambda runs: np.nanmedian(np.abs(covariate_shift(runs, "cosine")["bn"])),
    ),
)
