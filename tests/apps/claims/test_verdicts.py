"""Verdicts follow the records: changing a record changes its verdict."""

import numpy as np
import pytest

from apps.claims import CLAIMS, judge_all
from apps.settings import (
    DLN_LEARNING_RATES,
    DLN_NORMS,
    VGG_LEARNING_RATES,
    VGG_NORMS,
    VGG_SWEEP_STEPS,
)
from apps.training.runs import read_runs
from keras_bnsmooth.records import json_lines
from tests.apps.run_directories import write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of all norms with identical records."""
    folder = tmp_path_factory.mktemp("runs")
    for norm in VGG_NORMS:
        write_run(folder, "vgg", norm)
    for norm in DLN_NORMS:
        write_run(folder, "dln", norm)
    for norm in ("none", "bn"):
        write_run(folder, "vgg", norm, learning_rate=0.5)
        write_run(folder, "vgg", norm, augment=True, name=f"augmented_{norm}")
        for rate in VGG_LEARNING_RATES:
            short = {"steps": VGG_SWEEP_STEPS, "learning_rate": rate}
            write_run(folder, "vgg", norm, name=f"short_{norm}_{rate}", **short)
        for rate in DLN_LEARNING_RATES:
            if rate != 1e-6:
                write_run(folder, "dln", norm, learning_rate=rate)
    return folder


@pytest.fixture(scope="module")
def before(folder):
    return _verdicts(folder)


def _verdicts(folder):
    return {j.claim.name: (j.verdict, j.lacking) for j in judge_all(read_runs(folder))}


def _verdicts_after(folder, run, record, change):
    """The verdicts with quantities of one record multiplied, which is then restored."""
    network, norm = run
    rate = 0.1 if network == "vgg" else 1e-6
    path = folder / f"{network}_{norm}_{rate}_0" / f"{record}.jsonl"
    saved = path.read_text()
    rows = json_lines.read(path)
    for row in rows:
        for name in change.keys() & row.keys():
            row[name] = (np.array(row[name]) * change[name]).tolist()
    path.write_text("".join(json_lines.dumps(row) + "\n" for row in rows))
    try:
        return _verdicts(folder)
    finally:
        path.write_text(saved)


def test_every_claim_finds_its_runs(before):
    names = {claim.name for claim in CLAIMS}
    assert len(names) == len(CLAIMS)
    assert before.keys() == names
    assert [v for v in before.values() if v[1]] == []


_NO, _YES = "not borne out", "borne out"


@pytest.mark.parametrize(
    ("run", "record", "change", "claim", "first", "then"),
    [
        (
            *(("vgg", "none"), "landscape", {"gradient_distances": 2}),
            *("BN smooths the VGG: gradient band", _NO, _YES),
        ),
        (
            *(("vgg", "none"), "landscape_random", {"losses": 2}),
            *("BN smooths the VGG along random directions too", _NO, _YES),
        ),
        (
            *(("vgg", "none"), "landscape_filters", {"losses": 2}),
            "BN smooths the VGG along filter-normalized random directions too",
            *(_NO, _YES),
        ),
        (
            *(("vgg", "none"), "sharpness", {"sharpness": 2}),
            *("BN smooths the VGG: sharpness", _NO, _YES),
        ),
        (
            *(("dln", "bn"), "landscape", {"losses": 0.1}),
            *("BN smooths the DLN: loss band", _NO, _YES),
        ),
        (
            *(("vgg", "none"), "landscape", {"gradient_distances": 2}),
            *("l1 smooths the VGG too: effective beta", _NO, _YES),
        ),
        (
            *(("vgg", "bn"), "metrics", {"test_accuracy": 1.1}),
            *("BN generalizes better", _NO, _YES),
        ),
        (
            *(("vgg", "noise"), "metrics", {"accuracy": 0.2}),
            *("The same noise alone prevents training", _NO, _YES),
        ),
        (
            *(("dln", "l1"), "metrics", {"loss": 0.5}),
            *("l1 trains the DLN better than BN", _NO, _YES),
        ),
        (
            *(("vgg", "bn"), "ics", {"l2": 0.1}),
            "ICS of the VGG is similar or worse with BN: l2 difference",
            *(_YES, _NO),
        ),
        (
            *(("dln", "bn"), "ics", {"cosine": 0.1}),
            "In the DLN with BN, G and G' are almost uncorrelated",
            *(_NO, _YES),
        ),
    ],
)
def test_a_changed_record_moves_the_verdict(
    folder, before, run, record, change, claim, first, then
):
    assert before[claim] == (first, "")
    after = _verdicts_after(folder, run, record, change)
    assert after[claim] == (then, "")


def test_the_other_network_keeps_its_verdict(folder):
    verdicts = _verdicts_after(folder, ("dln", "bn"), "landscape", {"losses": 0.1})
    assert verdicts["BN smooths the VGG: loss band"][0] == "not borne out"
