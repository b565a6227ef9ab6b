"""Claims about the smoothness of the optimization landscape."""

import math

import numpy as np

from apps.claims.claim import Claim, Rule
from apps.claims.statistics import (
    MEASURES,
    error_ratio_at_same_distance,
    gradient_band,
    median_ratio,
    predictive_share,
)
from apps.settings import LP_NORMS

_SMOOTHER = Rule(1.5, 1.0)


def _ratio(measure, norms, record):
    """The smallest ratio of the standard network to one of the norms."""

    def smallest(runs):
        values = {norm: measure(run, record) for norm, run in runs.items()}
        return np.min([median_ratio(values["none"], values[norm]) for norm in norms])

    return smallest


def _early_ratio(runs):
    bands = {norm: gradient_band(run) for norm, run in runs.items()}
    early = {norm: band[: math.ceil(len(band) / 10)] for norm, band in bands.items()}
    return median_ratio(early["none"], early["bn"])


def _share_gained(runs):
    shares = {norm: predictive_share(run) for norm, run in runs.items()}
    if min(shares.values()) > 0.99:
        return np.nan  # the step sizes were too small to tell
    return 100 * (shares["bn"] - shares["none"])


def _claims_on(network, figure, lp_figure):
    """Yields the claims that the paper makes of both networks."""
    name = network.upper()
    families = (
        (
            f"BN smooths the {name}",
            f"Section 3.2, figure {figure}{{panel}}",
            "There is a clear improvement in each of these measures of smoothness in "
            "networks with BatchNorm layers.",
            "clearly smaller",
            ("bn",),
            "{measure}: the standard network divided by BN.",
            "landscape",
        ),
        (
            f"l1, l2 and linf smooth the {name} too",
            f"Section 3.3, figure {lp_figure}",
            "All these techniques result in an improved smoothness of the landscape "
            "that is similar to the effect of BatchNorm.",
            "improved, like BN's",
            LP_NORMS,
            "{measure}: the standard network divided by the worst of the three.",
            "landscape",
        ),
        (
            f"BN smooths the {name} along random directions too",
            "Section 3.2, last paragraph",
            "The loss behaves in a similar way when we examine other (random) "
            "directions too. (The paper does not say so of gradient and beta.)",
            "similar to the gradient's direction",
            ("bn",),
            "{measure} along a random direction of the gradient's length: the standard "
            "network divided by BN.",
            "landscape_random",
        ),
    )
    for family, place, text, paper, norms, statistic, record in families:
        for panel, (measure, function) in zip("abc", MEASURES.items(), strict=True):
            yield Claim(
                f"{family}: {measure}",
                place.format(panel=panel),
                text,
                paper,
                network,
                ("none", *norms),
                f"Median over training of the {statistic.format(measure=measure)}",
                _SMOOTHER,
                _ratio(function, norms, record),
            )
    yield Claim(
        f"Gradients stay predictive over a longer distance in the {name}",
        "Appendix B, figure 10",
        "Gradients are significantly more predictive in networks with BatchNorm and "
        "change slowly in a given local neighborhood.",
        "significantly more predictive",
        network,
        ("none", "bn"),
        "Median over training of ||grad L(W - s g) - g|| at the same distance s ||g||: "
        "the standard network divided by BN.",
        _SMOOTHER,
        lambda runs: error_ratio_at_same_distance(runs["none"], runs["bn"]),
    )
    yield Claim(
        f"Gradients stay predictive over a wider range of learning rates in the {name}",
        "Section 3.1, figure 10",
        "This enables us to use a broader range of (and thus larger) learning rates.",
        "broader",
        network,
        ("none", "bn"),
        "Share of all (probe, step size) pairs at which the gradient has changed by at "
        "most its own length: BN minus the standard network, in percentage points.",
        Rule(10.0, 0.0),
        _share_gained,
    )


SMOOTHNESS = (
    Claim(
        "Early in training, gradients of the VGG are far more predictive with BN",
        "Section 3.2, figure 4b",
        "There is a significant difference (close to two orders of magnitude) in "
        "gradient predictiveness, especially early in training.",
        "close to 100",
        "vgg",
        ("none", "bn"),
        "Median of the gradient band over the first tenth of training: the standard "
        "network divided by BN. (The threshold is one and a half orders of magnitude.)",
        Rule(30.0, 10.0),
        _early_ratio,
    ),
    *_claims_on("vgg", "4", "11"),
    *_claims_on("dln", "9", "12"),
)
