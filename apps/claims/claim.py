"""A claim of the paper: the statistic that decides it, and the rule of the verdict."""

import dataclasses
import math
from collections.abc import Callable

from apps.training.runs import RunSet

BORNE_OUT = "borne out"
NOT_BORNE_OUT = "not borne out"
UNDECIDED = "undecided"


@dataclasses.dataclass(frozen=True)
class Rule:
    """When a statistic bears a claim out, and when it does not.

    All seeds must agree; between the two thresholds nothing is decided.

    Attributes:
        borne_out: Threshold for the claim.
        not_borne_out: Threshold against it. Where it is the smaller one, large
            values speak for the claim, otherwise small ones.
    """

    borne_out: float
    not_borne_out: float

    def verdict(self, values):
        """Returns the verdict on a list of values, one a seed; NaN decides nothing."""
        values = list(values)
        if not values or any(math.isnan(value) for value in values):
            return UNDECIDED
        sign = 1 if self.borne_out > self.not_borne_out else -1
        if all(sign * value >= sign * self.borne_out for value in values):
            return BORNE_OUT
        if all(sign * value <= sign * self.not_borne_out for value in values):
            return NOT_BORNE_OUT
        return UNDECIDED

    def __str__(self):
        more, less = ("≥", "≤") if self.borne_out > self.not_borne_out else ("≤", "≥")
        return (
            f"borne out if {more} {self.borne_out:g}; "
            f"not borne out if {less} {self.not_borne_out:g}"
        )


@dataclasses.dataclass(frozen=True)
class Claim:
    """An empirical claim of the paper.

    Attributes:
        name: Short, unique.
        place: Where the paper makes it.
        text: What it says.
        paper: The paper's own figure or words.
        network: `"vgg"` or `"dln"`.
        norms: The norms that are compared.
        statistic: What is computed, in words.
        rule: The `Rule`.
        measure: Function from a dict norm -> `Run`, all of one seed, to a float.
        learning_rate: Where it is not that of most runs.
    """

    name: str
    place: str
    text: str
    paper: str
    network: str
    norms: tuple[str, ...]
    statistic: str
    rule: Rule
    measure: Callable
    learning_rate: float | None = None


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A claim, judged on runs.

    Attributes:
        claim: The `Claim`.
        reduction: Of the DLN's squared error; None for the VGG.
        values: Dict from seed to the statistic.
        verdict: `BORNE_OUT`, `NOT_BORNE_OUT` or `UNDECIDED`.
        lacking: Norms that no seed has together with the others, or whose runs lack
            a record: why there are no values.
    """

    claim: Claim
    reduction: str | None
    values: dict[int, float]
    verdict: str
    lacking: str


def judge(claim, runs: RunSet, reduction=None):
    """Returns the `Judgement` of a claim on the seeds that have all of its runs.

    Args:
        claim: The `Claim`.
        runs: A `RunSet`.
        reduction: Of the DLN's squared error.
    """
    by_norm = {
        norm: {
            run.seed: run
            for run in runs.select(
                claim.network,
                norm,
                reduction=reduction,
                learning_rate=claim.learning_rate,
            )
        }
        for norm in claim.norms
    }
    seeds = sorted(set.intersection(*(set(found) for found in by_norm.values())))
    missing = [norm for norm, found in by_norm.items() if not found]
    lacking = f"runs of {claim.network}: {', '.join(missing)}" if missing else ""
    if not seeds and not missing:
        lacking = "a seed that all of these norms have"
    values = {}
    try:
        for seed in seeds:
            values[seed] = float(
                claim.measure({norm: by_norm[norm][seed] for norm in claim.norms})
            )
    except ValueError as error:
        # A run without the record that this claim needs.
        values, lacking = {}, str(error)
    return Judgement(
        claim, reduction, values, claim.rule.verdict(values.values()), lacking
    )
