"""Claims about how fast and how well the networks train."""

import numpy as np

from apps.claims.claim import Claim, Rule
from apps.claims.statistics import (
    CHANCE,
    at_the_end,
    mean_accuracy,
    steps_to_accuracy,
)
from apps.settings import LP_NORMS, VGG_FAST


def _speed_up(runs):
    best = max(at_the_end(run, "accuracy") for run in runs.values())
    level = CHANCE + 0.8 * (best - CHANCE)
    none, bn = (steps_to_accuracy(runs[norm], level) for norm in ("none", "bn"))
    return none / bn


def _difference_at_the_end(quantity):
    return lambda runs: (
        100 * (at_the_end(runs["bn"], quantity) - at_the_end(runs["none"], quantity))
    )


def _share_of_gain(*norms):
    """The smallest share of BN's gain over the standard network, among the norms."""

    def measure(runs):
        mean = {norm: mean_accuracy(run) for norm, run in runs.items()}
        gain = mean["bn"] - mean["none"]
        if gain <= 0:
            return np.nan  # there is no gain to share
        return np.min([(mean[norm] - mean["none"]) / gain for norm in norms])

    return measure


def _smaller_margin(runs):
    mean = {norm: mean_accuracy(run) for norm, run in runs.items()}
    return 100 * (np.minimum(mean["bn"], mean["noisy_bn"]) - mean["none"])


def _noise_share(runs):
    gain = at_the_end(runs["none"], "accuracy") - CHANCE
    if gain < 0.05:
        return np.nan  # the standard network did not train either
    return (at_the_end(runs["noise"], "accuracy") - CHANCE) / gain


def _error_ratio(a, b):
    def measure(runs):
        with np.errstate(invalid="ignore", divide="ignore"):  # NaN if both diverged
            return np.divide(*(at_the_end(runs[n], "loss") for n in (a, b)))

    return measure


def _smallest_share_of_log_gain(runs):
    error = {n: np.log(at_the_end(run, "loss")) for n, run in runs.items()}
    with np.errstate(invalid="ignore"):
        gain = error["none"] - error["bn"]
    if not 0 < gain < np.inf:
        return np.nan  # there is no gain to share, or it is immeasurable
    return np.min([(error["none"] - error[norm]) / gain for norm in LP_NORMS])


TRAINING = (
    Claim(
        "BN trains the VGG faster",
        "Section 2, figure 1a",
        "There is a consistent gain in training speed in models with BatchNorm layers.",
        "figure 1a",
        "vgg",
        ("none", "bn"),
        "Steps the standard network needs to cover 80 % of the way from chance to the "
        "better final training accuracy of the two, divided by the steps BN needs.",
        Rule(1.25, 1.0),
        _speed_up,
    ),
    Claim(
        "BN generalizes better",
        "Appendix A.1, figure 1b",
        "The VGG reaches a higher test accuracy with BatchNorm than without.",
        "83 % against 80 %: 3 points",
        "vgg",
        ("none", "bn"),
        "Test accuracy with BN minus that of the standard network, each averaged over "
        "the last 5 % of training, in percentage points.",
        Rule(1.0, 0.0),
        _difference_at_the_end("test_accuracy"),
    ),
    Claim(
        "BN tolerates a larger learning rate",
        "Section 3.1, figure 1",
        "BatchNorm enables a broader range of, and thus larger, learning rates.",
        "figure 1, which includes larger rates",
        "vgg",
        ("none", "bn"),
        "Final training accuracy at learning rate 0.5: BN minus the standard network, "
        "in percentage points.",
        Rule(5.0, 0.0),
        _difference_at_the_end("accuracy"),
        flags=VGG_FAST.flags,
    ),
    Claim(
        "Noisy BN nearly matches BN",
        "Section 2.1, figure 2",
        "The performance difference between BatchNorm and noisy BatchNorm is almost "
        "non-existent.",
        "almost no difference",
        "vgg",
        ("none", "bn", "noisy_bn"),
        "Training accuracy averaged over all of training: the share of BN's gain over "
        "the standard network that noisy BN achieves.",
        Rule(0.8, 0.5),
        _share_of_gain("noisy_bn"),
    ),
    Claim(
        "BN and noisy BN beat the standard network",
        "Section 2.1, figure 2",
        "Both networks perform much better than standard networks.",
        "much better",
        "vgg",
        ("none", "bn", "noisy_bn"),
        "Training accuracy averaged over all of training: the lower of BN and noisy BN "
        "minus the standard network, in percentage points.",
        Rule(1.0, 0.0),
        _smaller_margin,
    ),
    Claim(
        "The same noise alone prevents training",
        "Section 2.1",
        "Adding the same amount of noise to the activations of the standard network "
        "prevents it from training entirely.",
        "no training",
        "vgg",
        ("none", "noise"),
        "Final training accuracy above chance with the noise, divided by that of the "
        "standard network.",
        Rule(0.05, 0.25),
        _noise_share,
    ),
    Claim(
        "l1, l2 and linf train the VGG like BN",
        "Section 3.3, figure 13a",
        "All the normalization strategies offer comparable performance to BatchNorm.",
        "comparable or better",
        "vgg",
        ("none", "bn", *LP_NORMS),
        "Training accuracy averaged over all of training: the share of BN's gain over "
        "the standard network that the worst of the three achieves.",
        Rule(0.8, 0.5),
        _share_of_gain(*LP_NORMS),
    ),
    Claim(
        "BN trains the DLN better",
        "Appendix A.1, section 2.2",
        "Both architectures show clear performance benefits with BatchNorm.",
        "drastically better",
        "dln",
        ("none", "bn"),
        "Final squared error of the standard network divided by that with BN.",
        Rule(1.5, 1.0),
        _error_ratio("none", "bn"),
    ),
    Claim(
        "l1, l2 and linf train the DLN like BN",
        "Section 3.3, figure 13b",
        "All the normalization strategies offer comparable performance to BatchNorm.",
        "comparable or better",
        "dln",
        ("none", "bn", *LP_NORMS),
        "Logarithm of the final squared error: the share of BN's gain over the "
        "standard network that the worst of the three achieves.",
        Rule(0.8, 0.5),
        _smallest_share_of_log_gain,
    ),
    Claim(
        "l1 trains the DLN better than BN",
        "Section 3.3, figure 13b",
        "For deep linear networks, l1-normalization performs even better than "
        "BatchNorm.",
        "better",
        "dln",
        ("bn", "l1"),
        "Final squared error with BN divided by that with l1.",
        Rule(1.05, 1.0),
        _error_ratio("bn", "l1"),
    ),
)
