"""Verdicts follow the records: what is changed there changes them."""

import pytest

from apps.claims import CLAIMS, REDUCTIONS, judge_all
from apps.training.runs import read_runs
from keras_bnsmooth.records import json_lines
from tests.apps.run_directories import write_run

VGG_NORMS = ("none", "bn", "noisy_bn", "noise", "l1", "l2", "linf")
DLN_NORMS = ("none", "bn", "noisy_bn", "l1", "l2", "linf")


@pytest.fixture
def folder(tmp_path):
    """Runs of all norms that all have the same records: nothing differs."""
    for norm in VGG_NORMS:
        write_run(tmp_path, "vgg", norm)
    for norm in DLN_NORMS:
        for reduction in REDUCTIONS:
            write_run(tmp_path, "dln", norm, reduction=reduction)
    for norm in ("none", "bn"):
        write_run(tmp_path, "vgg", norm, learning_rate=0.5)
    return tmp_path


def _verdicts(folder):
    return {
        (j.claim.name, j.reduction): (j.verdict, j.lacking)
        for j in judge_all(read_runs(folder))
    }


def _change(run, record, **values):
    """Multiplies quantities of all rows."""
    path = run / f"{record}.jsonl"
    rows = json_lines.read(path)
    path.unlink()
    for row in rows:
        for name, factor in values.items():
            if name in row:
                value = row[name]
                many = isinstance(value, list)
                row[name] = [factor * v for v in value] if many else factor * value
        json_lines.append(path, row)


def _run(folder, network, norm, reduction=""):
    rate = 0.1 if network == "vgg" else 1e-6
    return folder / f"{network}_{reduction}_{norm}_{rate}_0"


def test_every_claim_finds_its_runs(folder):
    verdicts = _verdicts(folder)
    names = {claim.name for claim in CLAIMS}
    assert len(names) == len(CLAIMS)
    assert {name for name, _ in verdicts} == names
    assert [v for v in verdicts.values() if v[1]] == []


@pytest.mark.parametrize(
    ("run", "record", "change", "claim", "before", "after"),
    [
        (
            ("vgg", "none"),
            "landscape",
            {"gradient_distances": 2},
            ("BN smooths the VGG: gradient band", None),
            "not borne out",
            "borne out",
        ),
        (
            ("vgg", "none"),
            "landscape_random",
            {"beta": 2},
            ("BN smooths the VGG along random directions too: effective beta", None),
            "not borne out",
            "borne out",
        ),
        (
            ("dln", "bn", "sum_sum"),
            "landscape",
            {"losses": 0.1},
            ("BN smooths the DLN: loss band", "sum_sum"),
            "not borne out",
            "borne out",
        ),
        (
            ("vgg", "none"),
            "landscape",
            {"beta": 2},
            ("l1, l2 and linf smooth the VGG too: effective beta", None),
            "not borne out",
            "borne out",
        ),
        (
            ("vgg", "bn"),
            "metrics",
            {"test_accuracy": 1.1},
            ("BN generalizes better", None),
            "not borne out",
            "borne out",
        ),
        (
            ("vgg", "noise"),
            "metrics",
            {"accuracy": 0.2},
            ("The same noise alone prevents training", None),
            "not borne out",
            "borne out",
        ),
        (
            ("dln", "l1", "sum_mean"),
            "metrics",
            {"squared_error": 0.5},
            ("l1 trains the DLN better than BN", "sum_mean"),
            "not borne out",
            "borne out",
        ),
        (
            ("vgg", "bn"),
            "ics",
            {"l2": 0.1},
            ("ICS with BN is similar or worse: l2 difference", None),
            "borne out",
            "not borne out",
        ),
        (
            ("dln", "bn", "sum_mean"),
            "ics",
            {"cosine": 0.1},
            ("In the DLN with BN, G and G' are almost uncorrelated", "sum_mean"),
            "undecided",
            "borne out",
        ),
    ],
)
def test_a_changed_record_moves_the_verdict(
    folder, run, record, change, claim, before, after
):
    assert _verdicts(folder)[claim] == (before, "")
    _change(_run(folder, *run), record, **change)
    assert _verdicts(folder)[claim] == (after, "")


def test_the_other_reduction_keeps_its_verdict(folder):
    _change(_run(folder, "dln", "bn", "sum_sum"), "landscape", losses=0.1)
    verdicts = _verdicts(folder)
    assert verdicts["BN smooths the DLN: loss band", "sum_mean"][0] == "not borne out"
