"""Claims about how fast and how well the networks train."""

import numpy as np

from apps.claims.claim import Claim, Rule
from apps.claims.elsewhere import (
    AFTER_CENTERING,
    DLN_ELSEWHERE,
    DLN_RATES,
    VGG_DEEP_ELSEWHERE,
    VGG_SWEEP,
)
from apps.claims.statistics import (
    CHANCE,
    at_the_end,
    mean_accuracy,
    points_at_the_end,
    steps_to_accuracy,
)
from apps.settings import (
    DLN,
    DLN_LEARNING_RATES,
    LP_NORMS,
    VGG,
    VGG_FAST,
    VGG_LEARNING_RATES,
)

_PAIR = ("none", "bn")
_NO_GAIN = (
    "Batch normalization gained nothing over the standard network here, so that there "
    "is no gain to share; a setting in which it does would decide."
)

_BOTH_DIVERGE = "Both networks diverge; smaller learning rates would decide."


def _speed_up(runs):
    best = max(at_the_end(run, "accuracy") for run in runs.values())
    level = CHANCE + 0.8 * (best - CHANCE)
    none, bn = (steps_to_accuracy(runs[norm], level) for norm in _PAIR)
    with np.errstate(invalid="ignore"):  # NaN if neither reaches it
        return np.divide(none, bn)


def _share_of_gain(norm):
    """The share of BN's gain in mean accuracy over the standard network, in percent."""

    def measure(runs):
        mean = {norm: mean_accuracy(run) for norm, run in runs.items()}
        gain = mean["bn"] - mean["none"]
        if gain <= 0:
            return np.nan  # there is no gain to share
        return 100 * (mean[norm] - mean["none"]) / gain

    return measure


def _margin(*norms):
    """The points by which the norms' mean accuracy exceeds the standard network's."""

    def smallest(runs):
        mean = {norm: mean_accuracy(run) for norm, run in runs.items()}
        return 100 * (np.min([mean[norm] for norm in norms]) - mean["none"])

    return smallest


def _noise_share(runs):
    gain = at_the_end(runs["none"], "accuracy") - CHANCE
    if gain < 0.05:
        return np.nan  # the standard network did not train either
    return 100 * (at_the_end(runs["noise"], "accuracy") - CHANCE) / gain


def _error_ratio(a, b):
    def measure(runs):
        with np.errstate(invalid="ignore", divide="ignore"):  # NaN if both diverged
            return np.divide(*(at_the_end(runs[n], "loss") for n in (a, b)))

    return measure


def _share_of_log_gain(norm):
    """The share of BN's gain in the logarithm of the final error, in percent."""

    def measure(runs):
        error = {n: np.log(at_the_end(run, "loss")) for n, run in runs.items()}
        with np.errstate(invalid="ignore"):
            gain = error["none"] - error["bn"]
        if not 0 < gain < np.inf:
            return np.nan  # there is no gain to share, or it is immeasurable
        return 100 * (error["none"] - error[norm]) / gain

    return measure


def _more_rates_with_accuracy(runs):
    accuracy = {
        norm: np.array([at_the_end(run, "accuracy") for run in rates.values()])
        for norm, rates in runs.items()
    }
    best = max(values.max() for values in accuracy.values())
    trained = {
        norm: np.sum(values >= (CHANCE + best) / 2) for norm, values in accuracy.items()
    }
    return trained["bn"] - trained["none"] if best > 0.2 else np.nan


def _more_rates_with_small_error(runs):
    trained = {
        norm: sum(
            # The error of a prediction of zeros is about that of the first step.
            at_the_end(run, "loss")
            <= runs["none"][rate].record("metrics")["loss"][0] / 2
            for rate, run in rates.items()
        )
        for norm, rates in runs.items()
    }
    return trained["bn"] - trained["none"]


TRAINING = (
    Claim(
        "BN trains the VGG faster",
        "Section 2, figure 1a",
        "There is a consistent gain in training speed in models with BatchNorm layers.",
        "figure 1a",
        VGG,
        _PAIR,
        "Steps the standard network needs to cover 80 % of the way from chance to the "
        "better final training accuracy of the two, divided by the steps BN needs.",
        "x",
        Rule(1.25, 1.0),
        _speed_up,
        "Figure 1",
        elsewhere=(*VGG_DEEP_ELSEWHERE, *VGG_SWEEP),
        undefined="Neither network reaches that accuracy; longer runs would decide.",
    ),
    Claim(
        "BN trains the VGG drastically better",
        "Section 2, figure 1a",
        "Figures 1(a) and (b) show a drastic improvement, both in terms of "
        "optimization and generalization performance.",
        "drastic",
        VGG,
        _PAIR,
        "Training accuracy averaged over all of training: BN minus the standard "
        "network.",
        "points",
        Rule(10.0, 2.0),
        _margin("bn"),
        "Figure 1",
        elsewhere=(*VGG_DEEP_ELSEWHERE, *VGG_SWEEP),
    ),
    Claim(
        "BN generalizes better",
        "Appendix A.1, figure 1b",
        "Our network achieves a test accuracy of 83% with BatchNorm and 80% without.",
        "3 points",
        VGG,
        _PAIR,
        "Test accuracy with BN minus that of the standard network, each averaged over "
        "the last 5 % of training.",
        "points",
        Rule(1.0, 0.0),
        points_at_the_end("test_accuracy"),
        "Figure 1",
        elsewhere=VGG_DEEP_ELSEWHERE[:1],
    ),
    Claim(
        "BN generalizes better with data augmentation",
        "Appendix A.1",
        "This becomes 92% and 88% respectively with data augmentation.",
        "4 points",
        VGG.having("augmented", augment=True),
        _PAIR,
        "Test accuracy with BN minus that of the standard network, each averaged over "
        "the last 5 % of training.",
        "points",
        Rule(1.0, 0.0),
        points_at_the_end("test_accuracy"),
    ),
    Claim(
        "BN lets the VGG train at a larger learning rate",
        "Figure 1",
        "Figure 1 shows both networks at a larger learning rate as well, at which only "
        "the one with BatchNorm trains well.",
        "figure 1",
        VGG_FAST,
        _PAIR,
        "Final training accuracy at learning rate 0.5: BN minus the standard network.",
        "points",
        Rule(5.0, 0.0),
        points_at_the_end("accuracy"),
        "Figure 1",
    ),
    Claim(
        "BN lets the VGG train at a broader range of learning rates",
        "Section 3.1",
        "This enables us to use a broader range of (and thus larger) learning rates.",
        "broader",
        VGG_SWEEP[0],
        _PAIR,
        "Of five learning rates from 0.01 to 1, the number at which the network covers "
        "half of the way from chance to the best accuracy of all within 3,000 steps: "
        "BN minus the standard network.",
        "learning rates",
        Rule(1.0, 0.0),
        _more_rates_with_accuracy,
        "Figure 16",
        learning_rates=VGG_LEARNING_RATES,
        undefined="No network trains at any of them; longer runs would decide.",
    ),
    Claim(
        "BN lets the DLN train at a broader range of learning rates",
        "Section 3.1",
        "This enables us to use a broader range of (and thus larger) learning rates.",
        "broader",
        DLN,
        _PAIR,
        "Of five learning rates from 1e-7 to 1e-5, the number at which the final "
        "squared error is at most half of the standard network's at the start, which "
        "is that of predicting zeros: BN minus the standard network.",
        "learning rates",
        Rule(1.0, 0.0),
        _more_rates_with_small_error,
        "Figure 15",
        elsewhere=(DLN.having("bare output", normalize_output=False),),
        learning_rates=DLN_LEARNING_RATES,
    ),
    Claim(
        "Noisy BN nearly matches BN",
        "Section 2.1, figure 2",
        "The performance difference between models with BatchNorm layers, and “noisy” "
        "BatchNorm layers is almost non-existent.",
        "almost no difference",
        VGG,
        (*_PAIR, "noisy_bn"),
        "Training accuracy averaged over all of training: the share of BN's gain over "
        "the standard network that noisy BN achieves.",
        "% of the gain",
        Rule(90.0, 50.0),
        _share_of_gain("noisy_bn"),
        "Figure 2",
        undefined=_NO_GAIN,
    ),
    Claim(
        "BN and noisy BN train much better than the standard network",
        "Section 2.1, figure 2",
        "Both these networks perform much better than standard networks.",
        "much better",
        VGG,
        (*_PAIR, "noisy_bn"),
        "Training accuracy averaged over all of training: the lower of BN and noisy BN "
        "minus the standard network.",
        "points",
        Rule(10.0, 2.0),
        _margin("bn", "noisy_bn"),
        "Figure 2",
    ),
    Claim(
        "The same noise alone prevents training",
        "Section 2.1",
        "Adding the same amount of noise to the activations of the standard "
        "(non-BatchNorm) network prevents it from training entirely.",
        "no training",
        VGG,
        ("none", "noise"),
        "Final training accuracy above chance with the noise, as a share of that of "
        "the standard network.",
        "% of the accuracy",
        Rule(5.0, 25.0),
        _noise_share,
        "Figure 2",
        undefined="The standard network does not train either; one that does would "
        "decide.",
    ),
    *(
        Claim(
            f"{norm} trains the VGG like BN",
            "Section 3.3, figures 11a and 13a",
            "We observe that all the normalization strategies offer comparable "
            "performance to BatchNorm.",
            "comparable",
            VGG,
            (*_PAIR, norm),
            "Training accuracy averaged over all of training: the share of BN's gain "
            f"over the standard network that {norm} achieves.",
            "% of the gain",
            Rule(80.0, 50.0),
            _share_of_gain(norm),
            "Figure 13",
            elsewhere=AFTER_CENTERING["vgg"].get(norm, ()),
            undefined=_NO_GAIN,
        )
        for norm in LP_NORMS
    ),
    *(
        Claim(
            f"BN trains the DLN {how}",
            place,
            text,
            words,
            DLN,
            _PAIR,
            "Final squared error of the standard network divided by that with BN.",
            "x",
            rule,
            _error_ratio(*_PAIR),
            "Figure 15",
            elsewhere=DLN_ELSEWHERE,
            undefined=_BOTH_DIVERGE,
        )
        for how, place, text, words, rule in (
            (
                "better",
                "Appendix A.1",
                "Both these architectures show clear performance benefits with "
                "BatchNorm.",
                "clearly better",
                Rule(1.5, 1.0),
            ),
            (
                "drastically better",
                "Section 2.2",
                "BatchNorm networks continue to perform drastically better in terms of "
                "attained accuracy and loss.",
                "drastically better",
                Rule(10.0, 2.0),
            ),
        )
    ),
    *(
        Claim(
            f"{norm} trains the DLN like BN",
            "Section 3.3, figures 12a and 13b",
            "We observe that all the normalization strategies offer comparable "
            "performance to BatchNorm.",
            "comparable",
            DLN,
            (*_PAIR, norm),
            "Logarithm of the final squared error: the share of BN's gain over the "
            f"standard network that {norm} achieves.",
            "% of the gain",
            Rule(80.0, 50.0),
            _share_of_log_gain(norm),
            "Figure 13",
            elsewhere=(*DLN_RATES, *AFTER_CENTERING["dln"].get(norm, ())),
            undefined=_NO_GAIN,
        )
        for norm in LP_NORMS
    ),
    Claim(
        "l1 trains the DLN better than BN",
        "Section 3.3, figure 13b",
        "For deep linear networks, l1-normalization performs even better than "
        "BatchNorm.",
        "better",
        DLN,
        ("bn", "l1"),
        "Final squared error with BN divided by that with l1.",
        "x",
        Rule(1.1, 1.0),
        _error_ratio("bn", "l1"),
        "Figure 13",
        elsewhere=(*DLN_RATES, *AFTER_CENTERING["dln"]["l1"]),
        undefined=_BOTH_DIVERGE,
    ),
)
