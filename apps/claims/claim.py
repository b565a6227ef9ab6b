"""A claim of the paper: the statistic that decides it, and the rule for its verdict."""

import dataclasses
import math
from collections.abc import Callable

from apps.errors import UserError

BORNE_OUT = "borne out"
NOT_BORNE_OUT = "not borne out"
UNDECIDED = "undecided"


@dataclasses.dataclass(frozen=True)
class Rule:
    """Two thresholds that turn a statistic into a verdict.

    All seeds must agree. Values between the thresholds decide nothing.

    Attributes:
        borne_out: Threshold for the claim.
        not_borne_out: Threshold against the claim. If it is the smaller of the two,
            large values support the claim, otherwise small ones do.
    """

    borne_out: float
    not_borne_out: float

    def verdict(self, values):
        """Returns the verdict on one value per seed; any NaN leaves it undecided."""
        sign = 1 if self.borne_out > self.not_borne_out else -1
        values = [sign * value for value in values]
        if not values or any(math.isnan(value) for value in values):
            return UNDECIDED
        if min(values) >= sign * self.borne_out:
            return BORNE_OUT
        if max(values) <= sign * self.not_borne_out:
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
        name: Short and unique.
        place: Where the paper makes the claim.
        text: The claim.
        paper: The paper's own figure or words.
        network: One of `apps.settings.NETWORKS`.
        norms: The norms compared.
        statistic: What is computed, in words.
        rule: The `Rule`.
        measure: Function from a dict norm -> `Run`, all of one seed, to a float.
        flags: Dict of the flags in which its runs differ from the main setting, see
            `RunSet.select`.
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
    flags: dict = dataclasses.field(default_factory=dict, hash=False)


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The verdict on a claim.

    Attributes:
        claim: The `Claim`.
        values: Dict from seed to the statistic.
        verdict: `BORNE_OUT`, `NOT_BORNE_OUT` or `UNDECIDED`.
        lacking: Which runs or records are missing; empty if the claim was judged.
    """

    claim: Claim
    values: dict[int, float]
    verdict: str
    lacking: str


def judge(claim, runs):
    """Returns the `Judgement` of a claim on every seed that has all of its norms.

    Args:
        claim: The `Claim`.
        runs: A `RunSet`.
    """
    by_norm = {norm: {} for norm in claim.norms}
    for run in runs.select(claim.network, **claim.flags):
        by_norm.get(run.norm, {})[run.seed] = run
    seeds = sorted(set.intersection(*map(set, by_norm.values())))
    missing = [norm for norm, found in by_norm.items() if not found]
    values, lacking = {}, ""
    if missing:
        lacking = f"runs of {claim.network}: {', '.join(missing)}"
    elif not seeds:
        lacking = "a seed that all of these norms have"
    try:
        for seed in seeds:
            of_seed = {norm: found[seed] for norm, found in by_norm.items()}
            values[seed] = float(claim.measure(of_seed))
    except UserError as error:
        # A run without a record that this claim needs.
        values, lacking = {}, str(error)
    return Judgement(claim, values, claim.rule.verdict(values.values()), lacking)
