"""Claims about the distributions of layer inputs."""

import numpy as np

from apps.claims.claim import Claim, Rule
from apps.claims.statistics import (
    distance_from_gaussian,
    distribution_shift,
    scale_factors,
)
from apps.settings import DLN, LP_NORMS, VGG

# The moments of a distribution, the units of their shifts, and how to say it.
_MOMENTS = {"mean": "in standard deviations", "variance": "relative"}
_SHIFT = (
    "Change of the {} of a linear layer's output ({}) between {}, median over layers "
    "and training: "
)
_CONSTANT = (
    "Most of the units are constant over the batch; wider networks would decide."
)


def _shift_ratio(moment, norm, successive):
    """The shift of a moment over the standard network's."""

    def measure(runs):
        shift = {n: distribution_shift(run, successive) for n, run in runs.items()}
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.divide(shift[norm][moment], shift["none"][moment])

    return measure


def _shift_factor(moment):
    """The larger shift over the smaller one."""

    def measure(runs):
        ratio = _shift_ratio(moment, "bn", successive=False)(runs)
        with np.errstate(divide="ignore"):
            return np.maximum(ratio, np.divide(1, ratio))

    return measure


def _gaussian_ratio(norm):
    def measure(runs):
        distance = {n: distance_from_gaussian(run) for n, run in runs.items()}
        return distance[norm] / distance["bn"]

    return measure


def _share_that_scales_up(runs):
    factors = scale_factors(runs["bn"])
    return 100 * np.mean(factors[np.isfinite(factors)] > 1)


DISTRIBUTIONS = (
    *(
        Claim(
            f"BN hardly changes the stability of distributions: {moment}",
            "Section 2, figure 1c",
            "The difference in distributional stability (change in the mean and "
            "variance) in networks with and without BatchNorm layers seems to be "
            "marginal.",
            "marginal",
            VGG,
            ("none", "bn"),
            _SHIFT.format(moment, unit, "measurements") + "the larger of the two "
            "networks' divided by the smaller.",
            "x",
            Rule(2.0, 4.0),
            _shift_factor(moment),
            "Figure 1",
            undefined=_CONSTANT,
        )
        for moment, unit in _MOMENTS.items()
    ),
    *(
        Claim(
            f"Noisy BN is less stable than the standard network: {moment}",
            "Section 2.1, figures 2 and 7",
            "The “noisy” BatchNorm network has qualitatively less stable distributions "
            "than even the standard, non-BatchNorm network.",
            "significantly less stable",
            VGG,
            ("none", "noisy_bn"),
            _SHIFT.format(moment, unit, "two successive steps, on the same batch")
            + "noisy BN divided by the standard network.",
            "x",
            Rule(2.0, 1.0),
            _shift_ratio(moment, "noisy_bn", successive=True),
            "Figure 7",
            undefined=_CONSTANT,
        )
        for moment, unit in _MOMENTS.items()
    ),
    *(
        Claim(
            f"{norm} shifts distributions more than no norm: {moment}",
            "Section 3.3, figure 14",
            "The lp-normalization techniques lead to larger distributional shift than "
            "the vanilla, i.e., unnormalized, networks.",
            "larger",
            VGG,
            ("none", norm),
            _SHIFT.format(moment, unit, "measurements")
            + f"{norm} divided by the standard network.",
            "x",
            Rule(1.25, 1.0),
            _shift_ratio(moment, norm, successive=False),
            "Figure 14",
            undefined=_CONSTANT,
        )
        for norm in LP_NORMS
        for moment, unit in _MOMENTS.items()
    ),
    *(
        Claim(
            f"Distributions are no longer Gaussian with {norm}",
            "Section 3.3, figure 14",
            "For these normalization schemes, the distributions of layer inputs are no "
            "longer Gaussian-like.",
            "no longer Gaussian-like",
            VGG,
            ("bn", norm),
            "Statistic of the Kolmogorov-Smirnov test against the Gaussian of the same "
            "mean and variance, for a linear layer's output (its normalization does "
            f"not change it), median over layers and training: {norm} divided by BN.",
            "x",
            Rule(1.5, 1.0),
            _gaussian_ratio(norm),
            "Figure 14",
            undefined=_CONSTANT,
        )
        for norm in LP_NORMS
    ),
    *(
        Claim(
            f"BN divides by large sigma_j in the {setting.network.upper()}",
            "After theorem 4.1, figure 8",
            "sigma_j tends to be large in practice, and thus the scaling by gamma / "
            "sigma may contribute to the relative “flatness”.",
            "large",
            setting,
            ("bn",),
            "Share of the units, one per layer and measurement, with gamma^2 / "
            "sigma^2 > 1, which makes the bound of theorem 4.1 larger, not smaller.",
            "% of units",
            Rule(10.0, 50.0),
            _share_that_scales_up,
            "Figure 8" if setting is DLN else "Figure 2",
        )
        for setting in (VGG, DLN)
    ),
)
