import math

import pytest

from apps.claims import Claim, Judgement, Rule
from apps.report import ledger
from apps.settings import DLN


def _judgement(values, lacking=""):
    claim = Claim(
        *("c", "place", "text", "paper", DLN, (), "statistic", "x", Rule(1, 0), max)
    )
    return Judgement(claim, DLN, values, lacking)


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
    assert ledger.value_text(_judgement({0: 2.0})) == "2 x (one seed)"
    three = _judgement({0: 2.0, 1: 5.0, 2: 3.0})
    assert ledger.value_text(three) == "3 x (2 to 5, 3 seeds)"
    assert ledger.value_text(_judgement({})) == "not measured"


def test_verdicts_are_counted():
    judgements = [_judgement({0: value}) for value in (1.0, 0.5, 2.0, -1.0)]
    counts = {"borne out": 2, "not borne out": 1, "undecided": 1}
    assert ledger.counts(judgements) == counts


def test_the_table_has_a_line_per_judgement_and_names_what_is_lacking():
    text = ledger.text_table(
        [
            _judgement({0: 1.0}),
            _judgement({}, lacking="runs of vgg: l1"),
        ]
    )
    header, first, second = text.splitlines()
    assert header.split() == ["verdict", "claim", "ours", "rule"]
    assert first.startswith("✓ borne out  c ")
    assert "lacks runs of vgg: l1" in second
