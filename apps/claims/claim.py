"""A claim of the paper: the statistic that decides it, and the rule for its verdict."""

import dataclasses
import math
from collections.abc import Callable

from apps.errors import UserError
from apps.settings import Setting

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
        values = list(values)
        if not values or any(math.isnan(value) for value in values):
            return UNDECIDED
        verdicts = set(map(self.verdict_on, values))
        return verdicts.pop() if len(verdicts) == 1 else UNDECIDED

    def verdict_on(self, value):
        """Returns the verdict on the value of one seed."""
        sign = 1 if self.borne_out > self.not_borne_out else -1
        if sign * value >= sign * self.borne_out:
            return BORNE_OUT
        if sign * value <= sign * self.not_borne_out:
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
        text: The sentence that the rule is read from.
        paper: The paper's own figure or words.
        setting: The `Setting` whose runs decide.
        norms: The norms compared.
        statistic: What is computed, in words.
        unit: Of the statistic: `"x"` for a ratio, `"points"`, `"% of layers"`, ...
        rule: The `Rule`.
        measure: Function from a dict norm -> `Run`, all of one seed, to a float. NaN
            means that the records cannot tell.
        figure: Name of the figure that shows it, such as `"Figure 4"`, or `""`.
        elsewhere: Other settings in which the same statistic is reported. They decide
            nothing: the paper does not speak of them.
        learning_rates: If given, `measure` takes a dict norm -> learning rate -> `Run`.
        undefined: What a NaN means, and what would decide the claim then.
    """

    name: str
    place: str
    text: str
    paper: str
    setting: Setting
    norms: tuple[str, ...]
    statistic: str
    unit: str
    rule: Rule
    measure: Callable
    figure: str = ""
    elsewhere: tuple[Setting, ...] = ()
    learning_rates: tuple[float, ...] = ()
    undefined: str = "The statistic is undefined on these runs."


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The verdict on a claim in one setting.

    Attributes:
        claim: The `Claim`.
        setting: The `Setting`.
        values: Dict from seed to the statistic.
        lacking: Which runs or records are missing; empty if the claim was judged.
        elsewhere: Judgements in the claim's other settings, of which there are runs.
    """

    claim: Claim
    setting: Setting
    values: dict[int, float]
    lacking: str
    elsewhere: tuple["Judgement", ...] = ()

    @property
    def verdict(self):
        """`BORNE_OUT`, `NOT_BORNE_OUT` or `UNDECIDED`."""
        return self.claim.rule.verdict(self.values.values())

    @property
    def undecided_because(self):
        """Why the claim is undecided and what would decide it; else an empty string."""
        if self.verdict != UNDECIDED:
            return ""
        if self.lacking:
            return f"Not judged: it lacks {self.lacking}."
        values = self.values.values()
        if any(map(math.isnan, values)):
            return self.claim.undefined
        verdicts = set(map(self.claim.rule.verdict_on, values))
        if {BORNE_OUT, NOT_BORNE_OUT} <= verdicts:
            return (
                "The seeds disagree: it depends on the initial weights. More seeds "
                "would tell how often."
            )
        if BORNE_OUT in verdicts:
            return "Some seeds fall short of the threshold; more would tell how many."
        return (
            "The effect is smaller than the paper's words and larger than none; more "
            "seeds would narrow it down."
        )


def judge(claim, runs):
    """Returns the `Judgement` of a claim on a `RunSet`, in all of its settings."""
    elsewhere = (_judge(claim, setting, runs) for setting in claim.elsewhere)
    return dataclasses.replace(
        _judge(claim, claim.setting, runs),
        elsewhere=tuple(one for one in elsewhere if one.values),
    )


def _judge(claim, setting, runs):
    """The judgement on every seed that has all of the claim's norms."""
    by_norm = {norm: _by_seed(claim, setting, runs, norm) for norm in claim.norms}
    seeds = sorted(set.intersection(*map(set, by_norm.values())))
    missing = [norm for norm, found in by_norm.items() if not found]
    values, lacking = {}, ""
    if missing:
        lacking = f"runs of {setting.network}: {', '.join(missing)}"
    elif not seeds:
        lacking = "a seed that all of these norms have"
    try:
        for seed in seeds:
            of_seed = {norm: found[seed] for norm, found in by_norm.items()}
            values[seed] = float(claim.measure(of_seed))
    except UserError as error:
        # A run without a record that this claim needs.
        values, lacking = {}, str(error)
    return Judgement(claim, setting, values, lacking)


def _by_seed(claim, setting, runs, norm):
    """{seed: run}, or {seed: {learning rate: run}} of the seeds that have them all."""
    if not claim.learning_rates:
        return {run.seed: run for run in setting.runs(runs, norm)}
    found = {}
    for rate in claim.learning_rates:
        for run in setting.having(learning_rate=rate).runs(runs, norm):
            found.setdefault(run.seed, {})[rate] = run
    complete = len(claim.learning_rates)
    return {seed: rates for seed, rates in found.items() if len(rates) == complete}
