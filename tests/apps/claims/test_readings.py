"""Readings: the same quantity from the runs of either."""

import numpy as np
import pytest

from apps.claims.readings import READINGS
from apps.training.runs import read_runs
from tests.apps.run_directories import write_run


def _quantity(question, text):
    (reading,) = (one for one in READINGS if question in one.question)
    (quantity,) = (one for one in reading.quantities if text in one.text)
    return quantity


def _scale(record, name, factor):
    def change(_, row):
        return {**row, name: (np.array(row[name]) * factor).tolist()}

    return {record: change}


def _run(folder, network, norm, rows=None, name=None, **flags):
    write_run(folder, network, norm, rows=rows, name=name, **flags)


def test_a_bare_output_is_compared_with_a_normalized_one(tmp_path):
    for seed, factor in ((0, 2.0), (1, 4.0)):
        rows = _scale("landscape", "gradient_distances", factor)
        _run(tmp_path, "dln", "bn", seed=seed)
        _run(tmp_path, "dln", "bn", rows, f"{seed}", seed=seed, normalize_output=False)
    ours, other = _quantity("output of the DLN", "beta").values(read_runs(tmp_path))
    # 0.0004 / (1e-4 x 2) in both records.
    np.testing.assert_allclose(ours, [2.0, 2.0])
    np.testing.assert_allclose(other, [4.0, 8.0])


def test_the_norm_after_centering(tmp_path):
    _run(tmp_path, "vgg", "l1")
    rows = _scale("metrics", "accuracy", 0.5)
    _run(tmp_path, "vgg", "l1", rows, "after", norm_after_centering=True)
    found = _quantity("takes the norm", "accuracy averaged over training, l1")
    assert found.values(read_runs(tmp_path)) == ([50.0], [25.0])


def test_gamma_and_beta_in_the_layer_before(tmp_path):
    _run(tmp_path, "vgg", "bn", _scale("ics_joined", "cosine", 0.5))
    found = _quantity("gamma and beta", "VGG").values(read_runs(tmp_path))
    assert found == ([0.5], [0.25])


def test_the_band_with_the_loss_at_the_start(tmp_path):
    _run(tmp_path, "vgg", "none", _scale("landscape", "losses", 2))
    _run(tmp_path, "vgg", "bn")
    ours, other = _quantity("includes the loss", "VGG").values(read_runs(tmp_path))
    # Losses from 1.05 to 1.4, twice that, and 1 at the start.
    assert ours == pytest.approx([2.0])
    assert other == pytest.approx([(2.8 - 1) / (1.4 - 1)])


def test_the_axis_of_figure_10(tmp_path):
    steeper = _scale("landscape", "gradient_distances", 3)
    _run(tmp_path, "vgg", "none", steeper)
    _run(tmp_path, "vgg", "bn")
    ours, other = _quantity("figure 10", "VGG").values(read_runs(tmp_path))
    assert ours == pytest.approx([3.0])
    assert other == pytest.approx([3.0])


def test_the_depth_of_the_vgg(tmp_path):
    def test_accuracy(value):
        def change(_, row):
            return {
                **row,
                **({"test_accuracy": value} if "test_accuracy" in row else {}),
            }

        return {"metrics": change}

    for depth, gap in (("16", 0.3), ("11", 0.1)):
        _run(tmp_path, "vgg", "none", test_accuracy(0.5), f"none{depth}", depth=depth)
        rows = test_accuracy(0.5 + gap)
        _run(tmp_path, "vgg", "bn", rows, f"bn{depth}", depth=depth)
    # As many runs of either depth: the main setting is the deeper one.
    ours, other = _quantity("How deep", "test accuracy").values(read_runs(tmp_path))
    assert (ours, other) == (pytest.approx([30.0]), pytest.approx([10.0]))


def test_missing_runs_and_records_are_not_measured(tmp_path):
    write_run(tmp_path, norm="bn", ics_joined_every=0)
    (tmp_path / "vgg_bn_0.1_0" / "ics_joined.jsonl").unlink()
    runs = read_runs(tmp_path)
    assert _quantity("gamma and beta", "VGG").values(runs) == ([0.5], [])
    assert _quantity("includes the loss", "VGG").values(runs) == ([], [])
