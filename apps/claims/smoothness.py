"""Claims about the smoothness of the optimization landscape."""

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
_PANELS = dict(zip(MEASURES, "abc", strict=True))
_FIGURES = {"vgg": ("4", "11"), "dln": ("9", "12")}
_NAMES = {"vgg": "VGG", "dln": "DLN"}


def _ratio(measure, norms, record="landscape"):
    """The least ratio of the standard network to one of the norms."""
    return lambda runs: np.min(
        [
            median_ratio(measure(runs["none"], record), measure(runs[norm], record))
            for norm in norms
        ]
    )


def _early_ratio(runs):
    """The ratio of the gradient bands over the first tenth of training."""
    early = {
        norm: gradient_band(run)[run.record("landscape")["step"] < 0.1 * run.steps]
        for norm, run in runs.items()
    }
    return median_ratio(early["none"], early["bn"])


def _share_gained(runs):
    shares = {norm: predictive_share(run) for norm, run in runs.items()}
    if min(shares.values()) > 0.99:
        return np.nan  # the step sizes were too small to tell
    return 100 * (shares["bn"] - shares["none"])


def _claims_on(network):
    """The claims that the paper makes of both networks."""
    figure, lp_figure = _FIGURES[network]
    for name, measure in MEASURES.items():
        yield Claim(
            f"BN smooths the {_NAMES[network]}: {name}",
            f"Section 3.2, figure {figure}{_PANELS[name]}",
            "There is a clear improvement in each of these measures of smoothness in "
            "networks with BatchNorm layers.",
            "clearly smaller",
            network,
            ("none", "bn"),
            f"Median over training of the {name}: the standard network over BN.",
            _SMOOTHER,
            _ratio(measure, ["bn"]),
        )
    for name, measure in MEASURES.items():
        yield Claim(
            f"l1, l2 and linf smooth the {_NAMES[network]} too: {name}",
            f"Section 3.3, figure {lp_figure}",
            "All these techniques result in an improved smoothness of the landscape "
            "that is similar to the effect of BatchNorm.",
            "improved, like BN's",
            network,
            ("none", *LP_NORMS),
            f"Median over training of the {name}: the standard network over the worst "
            "of the three.",
            _SMOOTHER,
            _ratio(measure, LP_NORMS),
        )
    for name, measure in MEASURES.items():
        yield Claim(
            f"BN smooths the {_NAMES[network]} along random directions too: {name}",
            "Section 3.2, last paragraph",
            "The loss behaves in a similar way when we examine other (random) "
            "directions too. (That gradient and beta do is not said.)",
            "similar to the gradient's direction",
            network,
            ("none", "bn"),
            f"Median over training of the {name} along a random direction as long as "
            "the gradient: the standard network over BN.",
            _SMOOTHER,
            _ratio(measure, ["bn"], "landscape_random"),
        )
    yield Claim(
        f"Gradients stay predictive over a longer distance in the {_NAMES[network]}",
        "Appendix B, figure 10",
        "Gradients are significantly more predictive in networks with BatchNorm and "
        "change slowly in a given local neighborhood.",
        "significantly more predictive",
        network,
        ("none", "bn"),
        "||grad L(W - s g) - g|| at the same distance s ||g||, median over training: "
        "the standard network over BN.",
        _SMOOTHER,
        lambda runs: error_ratio_at_same_distance(runs["none"], runs["bn"]),
    )
    yield Claim(
        "Gradients stay predictive over a wider range of learning rates in the "
        f"{_NAMES[network]}",
        "Section 3.1, figure 10",
        "This enables us to use a broader range of (and thus larger) learning rates.",
        "broader",
        network,
        ("none", "bn"),
        "Share of all (probe, step size) at which the gradient has changed by no more "
        "than its own length: BN minus the standard network, in percentage points.",
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
        "Gradient band, median over the first tenth of training: the standard network "
        "over BN. (The threshold is one and a half orders of magnitude.)",
        Rule(30.0, 10.0),
        _early_ratio,
    ),
    *_claims_on("vgg"),
    *_claims_on("dln"),
)
