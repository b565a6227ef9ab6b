"""What other readings of the paper, where it is ambiguous, would change."""

import dataclasses
from collections.abc import Callable
from functools import partial

import numpy as np

from apps.claims.elsewhere import AFTER_CENTERING
from apps.claims.statistics import (
    at_the_end,
    beta,
    covariate_shift,
    error_ratio_at_same_distance,
    loss_band,
    mean_accuracy,
    median,
    points_at_the_end,
    ratio_to,
    steps_to_accuracy,
)
from apps.errors import UserError
from apps.settings import DLN, VGG, Setting

_BARE = DLN.having("bare output", normalize_output=False)
_SHALLOW = VGG.having("depth 11", depth="11")


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A number under both readings.

    Attributes:
        text: What is measured, on which network.
        unit: As in `Claim`.
        norms: Norms of the runs that it is computed from.
        ours: The `Setting` of our reading, and a function from a dict norm -> `Run`,
            all of one seed, to a float.
        other: The same of the other reading.
    """

    text: str
    unit: str
    norms: tuple[str, ...]
    ours: tuple[Setting, Callable]
    other: tuple[Setting, Callable]

    def values(self, runs):
        """Returns the values of all seeds under both readings, two lists of floats.

        Args:
            runs: A `RunSet`. Without the runs or records needed, a list is empty.
        """
        return tuple(
            _values(runs, self.norms, *which) for which in (self.ours, self.other)
        )


@dataclasses.dataclass(frozen=True)
class Reading:
    """A question that the paper leaves open.

    Attributes:
        question: What is ambiguous.
        ours: Our reading.
        other: Another one.
        quantities: List of `Quantity`.
    """

    question: str
    ours: str
    other: str
    quantities: list[Quantity]


def _values(runs, norms, setting, measure):
    by_seed = [{run.seed: run for run in setting.runs(runs, norm)} for norm in norms]
    seeds = sorted(set.intersection(*map(set, by_seed)))
    try:
        return [
            float(measure(dict(zip(norms, (of[seed] for of in by_seed), strict=True))))
            for seed in seeds
        ]
    except UserError:
        return []  # a record is missing


def _of_bn(statistic):
    return lambda runs: statistic(runs["bn"])


def _cosine(record="ics"):
    def measure(runs):
        shift = covariate_shift(runs, "cosine", record)
        return np.nanmedian(shift["bn"])

    return measure


def _ratio_at_same_step_size(runs):
    distances = [
        median(runs[norm].record("landscape")["gradient_distances"].ravel())
        for norm in ("none", "bn")
    ]
    return np.divide(*distances)


def _speed_up(runs):
    none, bn = (steps_to_accuracy(runs[norm], 0.8) for norm in ("none", "bn"))
    return np.divide(none, bn)


def _both(setting, other, measure):
    return {"ours": (setting, measure), "other": (other, measure)}


def _normalized_output():
    for text, unit, measure in (
        ("effective beta with BN, median over training", "", _of_bn(_median_beta)),
        ("cos(G, G') with BN, median over layers and training", "", _cosine()),
        ("final squared error with BN", "", _of_bn(_error)),
    ):
        yield Quantity(f"DLN: {text}", unit, ("bn",), **_both(DLN, _BARE, measure))


def _norm_after_centering():
    for setting, text, unit, measure in (
        (VGG, "training accuracy averaged over training", "%", _percent_accuracy),
        (DLN, "final squared error", "", _error),
    ):
        for norm in ("l1", "linf"):
            (other,) = AFTER_CENTERING[setting.network][norm]
            yield Quantity(
                f"{setting.title}: {text}, {norm}",
                unit,
                (norm,),
                **_both(
                    setting, other, lambda runs, m=measure: m(*list(runs.values()))
                ),
            )


def _median_beta(run):
    return median(beta(run))


def _error(run):
    return at_the_end(run, "loss")


def _percent_accuracy(run):
    return 100 * mean_accuracy(run)


_PAIR = ("none", "bn")

READINGS = (
    Reading(
        "Whether the output of the DLN's last linear layer is normalized",
        "it is",
        "it is not, as in the VGG (--normalize_output=false)",
        list(_normalized_output()),
    ),
    Reading(
        "When lp normalization takes the norm (“before shifting the mean”)",
        "of the raw activations, before the mean is subtracted",
        "after the mean is subtracted (--norm_after_centering)",
        list(_norm_after_centering()),
    ),
    Reading(
        "Whether gamma and beta are layers of their own in covariate shift",
        "they are",
        "they belong to the linear layer before them",
        [
            Quantity(
                f"{setting.title}: cos(G, G') with BN, median over layers and training",
                "",
                ("bn",),
                (setting, _cosine()),
                (setting, _cosine("ics_joined")),
            )
            for setting in (VGG, DLN)
        ],
    ),
    Reading(
        "Whether the band of the loss includes the loss at the start",
        "it spans the losses over the step sizes alone",
        "it includes L(W)",
        [
            Quantity(
                f"{setting.title}: width of the band, median over training, the "
                "standard network divided by BN",
                "x",
                _PAIR,
                (setting, ratio_to("bn", loss_band)),
                (setting, ratio_to("bn", partial(loss_band, with_start=True))),
            )
            for setting in (VGG, DLN)
        ],
    ),
    Reading(
        "What the axis of figure 10, “distance”, shows",
        "the distance moved, s ||g||",
        "the step size s",
        [
            Quantity(
                f"{setting.title}: ||grad L(W - s g) - g|| at the same place on that "
                "axis, the standard network divided by BN",
                "x",
                _PAIR,
                (
                    setting,
                    lambda runs: error_ratio_at_same_distance(runs["none"], runs["bn"]),
                ),
                (setting, _ratio_at_same_step_size),
            )
            for setting in (VGG, DLN)
        ],
    ),
    Reading(
        "How deep the VGG is",
        "16 layers, the most with which the standard network trains at all",
        "11 layers",
        [
            Quantity(
                "VGG: steps to a training accuracy of 80 %, the standard network "
                "divided by BN",
                "x",
                _PAIR,
                **_both(VGG, _SHALLOW, _speed_up),
            ),
            Quantity(
                "VGG: final test accuracy, BN minus the standard network",
                "points",
                _PAIR,
                **_both(VGG, _SHALLOW, points_at_the_end("test_accuracy")),
            ),
        ],
    ),
)
