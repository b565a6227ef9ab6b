import math

import pytest

from apps.claims import Claim, Judgement, Rule
from apps.report import ledger


def _judgement(values, verdict="borne out", reduction=None, name="c", lacking=""):
    claim = Claim(
        name, "place", "text", "paper", "dln", (), "statistic", Rule(1, 0), max
    )
    return Judgement(claim, reduction, values, verdict, lacking)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.8449, "1.84"),
        (0.01234, "0.0123"),
        (12345.6, "12,300"),
        (3_930_000, "3.93e+06"),
        (0.0001234, "1.23e-04"),
        (0.0, "0"),
        (-48.33, "-48.3"),
        (math.inf, "infinite"),
        (math.nan, "undefined"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert ledger.number(value) == text


def test_the_spread_over_seeds_is_given():
    assert ledger.value_text(_judgement({0: 2.0})) == "2 (one seed)"
    three = _judgement({0: 2.0, 1: 5.0, 2: 3.0})
    assert ledger.value_text(three) == "3 (2 to 5, 3 seeds)"
    assert ledger.value_text(_judgement({})) == "not measured"


def test_verdicts_are_counted_and_compared_between_reductions():
    judgements = [
        _judgement({0: 1.0}, "borne out", "sum_mean", "depends"),
        _judgement({0: 1.0}, "undecided", "sum_sum", "depends"),
        _judgement({0: 1.0}, "borne out", "sum_mean", "agrees"),
        _judgement({0: 1.0}, "borne out", "sum_sum", "agrees"),
        _judgement({0: 1.0}, "not borne out"),
    ]
    counts = {"borne out": 3, "not borne out": 1, "undecided": 1}
    assert ledger.counts(judgements) == counts
    ((claim, verdicts),) = ledger.reduction_dependent(judgements)
    assert claim.name == "depends"
    assert verdicts == {"sum_mean": "borne out", "sum_sum": "undecided"}


def test_the_table_has_a_line_per_judgement_and_names_what_is_lacking():
    text = ledger.text_table(
        [
            _judgement({0: 1.0}, reduction="sum_sum"),
            _judgement({}, "undecided", lacking="runs of vgg: l1"),
        ]
    )
    header, first, second = text.splitlines()
    assert header.split() == ["verdict", "claim", "ours", "rule"]
    assert first.startswith("✓ borne out  c [sum_sum]")
    assert "lacks runs of vgg: l1" in second
