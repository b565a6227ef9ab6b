"""Claims about the smoothness of the optimization landscape."""

import functools

import numpy as np

from apps.claims.claim import Claim, Rule
from apps.claims.elsewhere import AFTER_CENTERING, DLN_ELSEWHERE, DLN_RATES
from apps.claims.statistics import (
    beta,
    beta_over_range,
    early,
    error_ratio_at_same_distance,
    gradient_band,
    gradient_norm,
    loss_band,
    median_ratio,
    predictive_share,
    ratio_to,
    relative_loss_band,
    sharpness,
)
from apps.settings import DLN, LP_NORMS, VGG

_PAIR = ("none", "bn")
# "A clear improvement"; a ratio of 1 is none.
_SMOOTHER = Rule(1.5, 1.0)
_FIGURES = {"vgg": ("4", "11"), "dln": ("9", "12")}
_ELSEWHERE = {"vgg": (VGG.having("depth 11", depth="11"),), "dln": DLN_ELSEWHERE}
_IMPROVES = (
    "There is a clear improvement in {} measures of smoothness of the optimization "
    "landscape in networks with BatchNorm layers."
)
_LOSS = "Width of the loss band, max - min of L(W - s g) over the paper's step sizes"
_GRADIENT = "Largest ||grad L(W - s g) - g|| over the paper's step sizes"
_BETA = (
    "Effective beta, the largest ||grad L(W - s g) - g|| / (s ||g||) for s from a "
    "hundredth of the learning rate to the paper's largest"
)
_TOO_FLAT = "In most probes, what there is to measure may be rounding."


def _early_ratio(function):
    def measure(runs):
        values = {norm: early(run, function(run)) for norm, run in runs.items()}
        return median_ratio(values["none"], values["bn"])

    return measure


def _share_gained(runs):
    shares = {norm: predictive_share(run) for norm, run in runs.items()}
    if min(shares.values()) > 0.99:
        return np.nan  # the step sizes were too small to tell
    return 100 * (shares["bn"] - shares["none"])


def _smoothing(setting):
    """Yields the claims on what figures 4 and 9 show."""
    network = setting.network
    name, (figure, _) = network.upper(), _FIGURES[network]
    words = _IMPROVES.format("all of these" if network == "vgg" else "each of these")
    measures = (
        ("loss band", "a", words, _LOSS, loss_band),
        (
            "loss band relative to the loss",
            "a",
            words,
            f"{_LOSS}, divided by L(W)",
            relative_loss_band,
        ),
        ("gradient band", "b", words, _GRADIENT, gradient_band),
        ("effective beta", "c", words, _BETA, beta),
        (
            "largest change of the gradient over the largest distance",
            "c",
            "The “effective” β-smoothness (c) refers to the maximum difference (in "
            "l2-norm) in gradient over distance moved in that direction.",
            f"{_GRADIENT}, divided by the largest distance s ||g||",
            beta_over_range,
        ),
        (
            "sharpness",
            "c",
            "BatchNorm's reparametrization makes gradients of the loss more Lipschitz "
            "too. (The paper does not measure the sharpness.)",
            "Largest eigenvalue of the Hessian",
            sharpness,
        ),
        (
            "gradient magnitude",
            "",
            "The loss changes at a smaller rate and the magnitudes of the gradients "
            "are smaller too.",
            "||g||",
            gradient_norm,
        ),
    )
    for measure, panel, text, statistic, function in measures:
        yield Claim(
            f"BN smooths the {name}: {measure}",
            f"Section 3.2, figure {figure}{panel}" if panel else "Section 3.1",
            text,
            "clearly smaller" if panel else "smaller",
            setting,
            _PAIR,
            f"{statistic}: median over training of the standard network divided by "
            "that of BN.",
            "x",
            _SMOOTHER,
            ratio_to("bn", function),
            f"Figure {figure}",
            elsewhere=_ELSEWHERE[network],
            undefined=(
                "In most probes of one network beta is saturated: the gradient changes "
                "by its own length within the smallest step. Sharpness tells more, and "
                "smaller step sizes would decide."
                if function is beta
                else _TOO_FLAT
            ),
        )


def _smoothing_of_lp(setting):
    """Yields the claims on what figures 11 and 12 show."""
    network = setting.network
    rates = DLN_RATES if network == "dln" else ()
    for norm in LP_NORMS:
        for measure, statistic, function in (
            ("loss band", _LOSS, loss_band),
            ("gradient band", _GRADIENT, gradient_band),
            ("effective beta", _BETA, beta),
        ):
            yield Claim(
                f"{norm} smooths the {network.upper()} too: {measure}",
                f"Section 3.3, figure {_FIGURES[network][1]}",
                "All these techniques result in an improved smoothness of the "
                "landscape that is similar to the effect of BatchNorm.",
                "improved, like BN's",
                setting,
                ("none", norm),
                f"{statistic}: median over training of the standard network divided by "
                f"that of {norm}.",
                "x",
                _SMOOTHER,
                ratio_to(norm, function),
                f"Figure {_FIGURES[network][1]}",
                elsewhere=(*rates, *AFTER_CENTERING[network].get(norm, ())),
                undefined=_TOO_FLAT,
            )


def _other_directions(setting):
    """Yields the claims on random directions and on larger distances."""
    network = setting.network
    name, (figure, _) = network.upper(), _FIGURES[network]
    for directions, record in (
        ("random directions", "landscape_random"),
        ("filter-normalized random directions", "landscape_filters"),
    ):
        yield Claim(
            f"BN smooths the {name} along {directions} too",
            "Section 3.2, last paragraph",
            "The loss behaves in a similar way when we examine other (random) "
            "directions too.",
            "similar to the gradient's direction",
            setting,
            _PAIR,
            f"Width of the loss band along {directions} of the gradient's length: "
            "median over training of the standard network divided by that of BN.",
            "x",
            _SMOOTHER,
            ratio_to("bn", functools.partial(loss_band, record=record)),
            elsewhere=_ELSEWHERE[network],
            undefined=_TOO_FLAT,
        )
    for measure, statistic, function in (
        ("loss band", "Width of the loss band", loss_band),
        ("gradient band", "Largest ||grad L(W - s g) - g||", gradient_band),
    ):
        yield Claim(
            f"BN smooths the {name} beyond the paper's step sizes: {measure}",
            f"Caption of figure {figure}",
            "BatchNorm however continues to provide smoothing for even larger "
            "distances.",
            "smaller",
            setting,
            _PAIR,
            f"{statistic} for s from one to four times the paper's largest step size: "
            "median over training of the standard network divided by that of BN.",
            "x",
            _SMOOTHER,
            ratio_to("bn", functools.partial(function, step_sizes="beyond paper")),
            elsewhere=_ELSEWHERE[network],
        )


def _predictiveness(setting):
    """Yields the claims on figure 10."""
    network = setting.network
    yield Claim(
        f"Gradients of the {network.upper()} are more predictive at the same distance",
        "Appendix B, figure 10",
        "We observe that gradients are significantly more predictive in networks with "
        "BatchNorm and change slowly in a given local neighborhood.",
        "significantly more predictive",
        setting,
        _PAIR,
        "||grad L(W - s g) - g|| at the same distance s ||g||: median over training of "
        "the standard network divided by BN.",
        "x",
        _SMOOTHER,
        lambda runs: error_ratio_at_same_distance(runs["none"], runs["bn"]),
        "Figure 10",
        elsewhere=_ELSEWHERE[network],
        undefined="The two networks hardly ever move over the same distances, so that "
        "there is nothing to compare; longer steps for one of them would decide.",
    )
    yield Claim(
        f"Gradients of the {network.upper()} stay predictive over a wider range of "
        "step sizes",
        "Section 3.1, figure 10",
        "This explains why networks with BatchNorm are largely robust to a broad range "
        "of learning rates.",
        "broader",
        setting,
        _PAIR,
        "Share of all (probe, step size) pairs at which the gradient has changed by at "
        "most its own length: BN minus the standard network.",
        "points",
        Rule(10.0, 0.0),
        _share_gained,
        "Figure 10",
        elsewhere=_ELSEWHERE[network],
        undefined="No step size changes either gradient by its own length; larger ones "
        "would decide.",
    )


_NEVER_LEFT = "A network never leaves chance level, so that it has no early training."

SMOOTHNESS = (
    Claim(
        "Early in training, gradients of the VGG are far more predictive with BN",
        "Section 3.2, figure 4b",
        "Figure 4(b) shows a significant difference (close to two orders of magnitude) "
        "in such gradient predictiveness between the vanilla and BatchNorm networks, "
        "especially early in training.",
        "close to 100 x",
        VGG,
        _PAIR,
        f"{_GRADIENT}: median over the first tenth of training after leaving chance "
        "level, the standard network divided by BN. (The threshold is one and a half "
        "orders of magnitude.)",
        "x",
        Rule(30.0, 10.0),
        _early_ratio(gradient_band),
        "Figure 4",
        elsewhere=_ELSEWHERE["vgg"],
        undefined=_NEVER_LEFT,
    ),
    Claim(
        "Early in training, the loss of the VGG varies far less with BN",
        "Section 3.2, figure 4a",
        "The loss of a vanilla, i.e., non-BatchNorm, network has a very wide range of "
        "values along the direction of the gradient, especially in the initial phases "
        "of training.",
        "a very wide range",
        VGG,
        _PAIR,
        f"{_LOSS}: median over the first tenth of training after leaving chance level, "
        "the standard network divided by BN. (The threshold is half an order of "
        "magnitude.)",
        "x",
        Rule(3.0, 1.0),
        _early_ratio(loss_band),
        "Figure 4",
        elsewhere=_ELSEWHERE["vgg"],
        undefined=_NEVER_LEFT,
    ),
    *(
        claim
        for setting in (VGG, DLN)
        for claims in (_smoothing, _smoothing_of_lp, _other_directions, _predictiveness)
        for claim in claims(setting)
    ),
)
