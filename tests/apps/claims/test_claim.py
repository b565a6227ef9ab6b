import math

import pytest

from apps.claims.claim import (
    BORNE_OUT,
    NOT_BORNE_OUT,
    UNDECIDED,
    Claim,
    Judgement,
    Rule,
    judge,
)
from apps.settings import VGG, VGG_FAST
from apps.training.runs import read_runs
from tests.apps.run_directories import write_run

LARGE, SMALL = Rule(1.5, 1.0), Rule(0.3, 0.6)


@pytest.mark.parametrize(
    ("rule", "values", "verdict"),
    [
        (LARGE, [1.5, 9], BORNE_OUT),
        (LARGE, [math.inf], BORNE_OUT),
        (LARGE, [1.0, -2], NOT_BORNE_OUT),
        (LARGE, [1.2], UNDECIDED),
        (LARGE, [1.6, 0.9], UNDECIDED),
        (LARGE, [1.6, math.nan], UNDECIDED),
        (LARGE, [], UNDECIDED),
        (SMALL, [0.3, 0.0], BORNE_OUT),
        (SMALL, [0.6, 0.9], NOT_BORNE_OUT),
        (SMALL, [0.5], UNDECIDED),
    ],
)
def test_the_verdict_needs_all_seeds(rule, values, verdict):
    assert rule.verdict(values) == verdict


def test_a_rule_says_which_side_is_for_the_claim():
    assert str(LARGE) == "borne out if ≥ 1.5; not borne out if ≤ 1"
    assert str(SMALL) == "borne out if ≤ 0.3; not borne out if ≥ 0.6"


def _claim(norms=("none", "bn"), **more):
    def measure(runs):
        return sum(run.record("metrics")["loss"][-1] for run in runs.values())

    words = dict.fromkeys(("place", "text", "paper", "statistic", "unit"), "")
    more = {"setting": VGG, "measure": measure, **more}
    return Claim("c", norms=norms, rule=Rule(1, 0), **words, **more)


def test_a_claim_is_judged_on_the_seeds_that_all_norms_have(tmp_path):
    for norm, seeds in {"none": (0, 1, 2), "bn": (2, 1)}.items():
        for seed in seeds:
            write_run(tmp_path, norm=norm, seed=seed)
    judgement = judge(_claim(), read_runs(tmp_path))
    assert judgement.values == {1: 2.0, 2: 2.0}
    assert (judgement.verdict, judgement.lacking) == (BORNE_OUT, "")


def test_what_is_lacking_is_named(tmp_path):
    write_run(tmp_path, norm="none", seed=0)
    write_run(tmp_path, norm="bn", seed=1)
    runs = read_runs(tmp_path)
    assert judge(_claim(("none", "l1")), runs).lacking == "runs of vgg: l1"
    assert judge(_claim(), runs).lacking == "a seed that all of these norms have"
    at_another_rate = judge(_claim(setting=VGG_FAST), runs)
    assert at_another_rate.lacking == "runs of vgg: none, bn"
    assert at_another_rate.verdict == UNDECIDED


def test_other_settings_are_reported_and_decide_nothing(tmp_path):
    for rate, loss in ((0.1, 0.0), (0.5, 2.0)):
        rows = {"metrics": lambda _, row, loss=loss: {**row, "loss": loss}}
        write_run(tmp_path, norm="bn", learning_rate=rate, rows=rows)
    elsewhere = (VGG_FAST, VGG.having("deep", depth="16"))
    found = judge(_claim(("bn",), elsewhere=elsewhere), read_runs(tmp_path))
    assert (found.verdict, found.values) == (NOT_BORNE_OUT, {0: 0.0})
    (other,) = found.elsewhere
    assert (other.setting, other.verdict) == (VGG_FAST, BORNE_OUT)
    assert other.values == {0: 2.0}


def test_a_sweep_needs_every_learning_rate(tmp_path):
    for seed, rates in {0: (0.1, 0.5), 1: (0.5,)}.items():
        for rate in rates:
            write_run(tmp_path, norm="bn", seed=seed, learning_rate=rate)
    received = []

    def measure(runs):
        received.append({rate: run.learning_rate for rate, run in runs["bn"].items()})
        return 1.0

    claim = _claim(("bn",), measure=measure, learning_rates=(0.1, 0.5))
    assert judge(claim, read_runs(tmp_path)).values == {0: 1.0}
    assert received == [{0.1: 0.1, 0.5: 0.5}]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, 2.0], ""),
        ([1.0, -1.0], "seeds disagree"),
        ([1.0, 0.5], "fall short"),
        ([0.5, -1.0], "smaller than the paper's words"),
        ([1.0, math.nan], "tells nothing"),
    ],
)
def test_an_undecided_claim_says_why(values, words):
    claim = _claim(undefined="The record tells nothing.")
    judgement = Judgement(claim, VGG, dict(enumerate(values)), "")
    assert bool(words) == (judgement.verdict == UNDECIDED)
    because = judgement.undecided_because
    assert words in because if words else because == ""
