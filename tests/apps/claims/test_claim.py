import math

import pytest

from apps.claims.claim import (
    BORNE_OUT,
    NOT_BORNE_OUT,
    UNDECIDED,
    Claim,
    Rule,
    judge,
)
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

    return Claim("c", "p", "t", "paper", "vgg", norms, "s", Rule(1, 0), measure, **more)


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
    at_another_rate = judge(_claim(flags={"learning_rate": 0.5}), runs)
    assert at_another_rate.lacking == "runs of vgg: none, bn"
    assert at_another_rate.verdict == UNDECIDED
