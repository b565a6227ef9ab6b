"""Claims about how fast and how well the networks train."""

import numpy as np

from apps.claims.claim import Claim, Rule
from apps.claims.statistics import at_the_end, over_training, steps_to_reach
from apps.settings import LP_NORMS

_CHANCE = 0.1


def _speed_up(runs):
    best = max(at_the_end(run, "accuracy") for run in runs.values())
    level = _CHANCE + 0.8 * (best - _CHANCE)
    return steps_to_reach(runs["none"], "accuracy", level) / steps_to_reach(
        runs["bn"], "accuracy", level
    )


def _difference_at_the_end(quantity, a, b):
    return lambda runs: (
        100 * (at_the_end(runs[a], quantity) - at_the_end(runs[b], quantity))
    )


def _over_training(runs, norm):
    return over_training(runs[norm], "accuracy")


def _share_of_gain(runs, norm):
    """How much of BN's gain over the standard network a norm reaches."""
    standard, bn = _over_training(runs, "none"), _over_training(runs, "bn")
    if bn <= standard:
        return np.nan  # there is no gain to share
    return (_over_training(runs, norm) - standard) / (bn - standard)


def _lesser_margin(runs):
    worse = np.min([_over_training(runs, norm) for norm in ("bn", "noisy_bn")])
    return 100 * (worse - _over_training(runs, "none"))


def _noise_share(runs):
    if runs["noise"].diverged:
        return 0.0
    gain = at_the_end(runs["none"], "accuracy") - _CHANCE
    if gain < 0.05:
        return np.nan  # the standard network did not train either
    return (at_the_end(runs["noise"], "accuracy") - _CHANCE) / gain


def _error_ratio(a, b):
    return lambda runs: (
        at_the_end(runs[a], "squared_error") / at_the_end(runs[b], "squared_error")
    )


def _least_share_of_log_gain(runs):
    error = {
        norm: np.log(at_the_end(run, "squared_error")) for norm, run in runs.items()
    }
    gain = error["none"] - error["bn"]
    if gain <= 0:
        return np.nan
    return np.min([(error["none"] - error[norm]) / gain for norm in LP_NORMS])


TRAINING = (
    Claim(
        "BN trains the VGG faster",
        "Section 2, figure 1a",
        "There is a consistent gain in training speed in models with BatchNorm layers.",
        "figure 1a",
        "vgg",
        ("none", "bn"),
        "Steps that the standard network takes for 80 % of the way from chance to the "
        "better final training accuracy of the two, over the steps that BN takes.",
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
        "Test accuracy with BN minus that of the standard network, means over the last "
        "5 % of training, in percentage points.",
        Rule(1.0, 0.0),
        _difference_at_the_end("test_accuracy", "bn", "none"),
    ),
    Claim(
        "BN bears a larger learning rate",
        "Section 3.1, figure 1",
        "BatchNorm enables a broader range of, and thus larger, learning rates.",
        "figure 1, where larger rates are drawn",
        "vgg",
        ("none", "bn"),
        "At learning rate 0.5, training accuracy with BN minus that of the standard "
        "network at the end, in percentage points.",
        Rule(5.0, 0.0),
        _difference_at_the_end("accuracy", "bn", "none"),
        learning_rate=0.5,
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
        "the standard network that noisy BN reaches.",
        Rule(0.8, 0.5),
        lambda runs: _share_of_gain(runs, "noisy_bn"),
    ),
    Claim(
        "BN and noisy BN beat the standard network",
        "Section 2.1, figure 2",
        "Both networks perform much better than standard networks.",
        "much better",
        "vgg",
        ("none", "bn", "noisy_bn"),
        "Training accuracy averaged over all of training, the lower of BN and noisy BN "
        "minus the standard network, in percentage points.",
        Rule(1.0, 0.0),
        _lesser_margin,
    ),
    Claim(
        "The same noise alone prevents training",
        "Section 2.1",
        "Adding the same amount of noise to the activations of the standard network "
        "prevents it from training entirely.",
        "no training",
        "vgg",
        ("none", "noise"),
        "Final training accuracy above chance with the noise, over that of the "
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
        "the standard network that the worst of the three reaches.",
        Rule(0.8, 0.5),
        lambda runs: np.min([_share_of_gain(runs, norm) for norm in LP_NORMS]),
    ),
    Claim(
        "BN trains the DLN better",
        "Appendix A.1, section 2.2",
        "Both architectures show clear performance benefits with BatchNorm.",
        "drastically better",
        "dln",
        ("none", "bn"),
        "Final squared error of the standard network over that with BN.",
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
        "standard network that the worst of the three reaches.",
        Rule(0.8, 0.5),
        _least_share_of_log_gain,
    ),
    Claim(
        "l1 trains the DLN better than BN",
        "Section 3.3, figure 13b",
        "For deep linear networks, l1-normalization performs even better than "
        "BatchNorm.",
        "better",
        "dln",
        ("bn", "l1"),
        "Final squared error with BN over that with l1.",
        Rule(1.05, 1.0),
        _error_ratio("bn", "l1"),
    ),
)
