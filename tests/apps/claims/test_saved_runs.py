"""Verdicts on the saved runs, against statistics computed in another way.

Uses plain Python on the lines of the records, nothing of `apps.claims.statistics`.
"""

import json
from pathlib import Path
from statistics import mean, median

import pytest

from apps.claims import CLAIMS, judge
from apps.training.runs import read_runs

SAVED = Path(__file__).parents[3] / "saved_results" / "cpu"


@pytest.fixture(scope="module")
def runs():
    return read_runs(SAVED)


def _rows(run, record):
    text = (run.path / f"{record}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def _in_paper_range(row, network):
    low, high = {"vgg": (0.5, 4), "dln": (0.01, 30)}[network]
    multiples = [s / row["learning_rate"] for s in row["step_sizes"]]
    return [i for i, m in enumerate(multiples) if 0.999 * low < m < 1.001 * high]


def _loss_band(run):
    widths = []
    for row in _rows(run, "landscape"):
        losses = [row["losses"][i] for i in _in_paper_range(row, run.network)]
        widths.append(max(losses) - min(losses))
    return median(widths)


def _gradient_norm(run):
    return median(row["gradient_norm"] for row in _rows(run, "landscape"))


def _last(run, quantity):
    rows = _rows(run, "metrics")
    end = [row for row in rows if row["step"] > 0.95 * run.steps and quantity in row]
    return mean(row[quantity] for row in end)


def _mean_accuracy(run):
    return mean(row["accuracy"] for row in _rows(run, "metrics"))


def _turning(run):
    """{linear layer but the first: median of 1 - cosine}."""
    rows = _rows(run, "ics")
    found = {}
    for i, name in enumerate(rows[0]["layers"]):
        if not name.endswith("_bn"):
            found[name] = median(1 - row["cosine"][i] for row in rows)
    del found[next(iter(found))]
    return found


def _share_of_layers(none, bn):
    shares = [
        _turning(bn)[name] >= 0.8 * value for name, value in _turning(none).items()
    ]
    return 100 * mean(shares)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "BN smooths the VGG: loss band",
            lambda none, bn: _loss_band(none) / _loss_band(bn),
        ),
        (
            "BN smooths the DLN: gradient magnitude",
            lambda none, bn: _gradient_norm(none) / _gradient_norm(bn),
        ),
        (
            "BN generalizes better",
            lambda none, bn: (
                100 * (_last(bn, "test_accuracy") - _last(none, "test_accuracy"))
            ),
        ),
        (
            "BN trains the VGG drastically better",
            lambda none, bn: 100 * (_mean_accuracy(bn) - _mean_accuracy(none)),
        ),
        (
            "BN trains the DLN better",
            lambda none, bn: _last(none, "loss") / _last(bn, "loss"),
        ),
        ("ICS of the VGG is similar or worse with BN: direction", _share_of_layers),
        ("ICS of the DLN is similar or worse with BN: direction", _share_of_layers),
    ],
)
def test_the_value_of_a_claim(runs, name, expected):
    (claim,) = (claim for claim in CLAIMS if claim.name == name)
    by_seed = [
        {run.seed: run for run in claim.setting.runs(runs, norm)}
        for norm in ("none", "bn")
    ]
    values = judge(claim, runs).values
    assert values and values.keys() == by_seed[0].keys() & by_seed[1].keys()
    for seed, value in values.items():
        none, bn = (of[seed] for of in by_seed)
        assert value == pytest.approx(expected(none, bn), rel=1e-6)
