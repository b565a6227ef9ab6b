import numpy as np
import pytest

from apps.figures.learning_rates import draw_learning_rates
from apps.report.grid import COLUMNS
from apps.settings import DLN_LEARNING_RATES, VGG_SWEEP_STEPS
from apps.training.runs import RunSet
from tests.apps.figures.run_directories import (
    dln_run,
    ics_rows,
    image_rows,
    landscape_rows,
    layers_of,
    paper_figure,
    regression_rows,
    texts,
    vgg_run,
)


def _row(norm, rate, seed, status="finished", **values):
    given = {"norm": norm, "learning_rate": rate, "seed": seed, "status": status}
    return dict.fromkeys(COLUMNS) | given | values


def test_lines_are_medians_over_seeds_and_end_where_runs_do():
    rows = [
        _row("none", 0.1, 0, accuracy=0.5, loss=2.0),
        _row("none", 0.1, 1, accuracy=0.7, loss=3.0),
        _row("none", 0.1, 2, accuracy=0.8, loss=9.0),
        _row("none", 1.0, 0, "diverged", accuracy=0.1, loss=5.0),
        _row("bn", 1.0, 0, accuracy=0.9, loss=0.1),
        _row("bn", 0.1, 0, accuracy=0.6, loss=0.2),
    ]
    figure = draw_learning_rates(rows)
    accuracy, loss = figure.axes
    lines = {
        line.get_label(): line.get_xydata().tolist()
        for line in accuracy.lines
        if not line.get_label().startswith("_")
    }
    assert lines == {"standard": [[0.1, 0.7]], "BN": [[0.1, 0.6], [1.0, 0.9]]}
    points = np.concatenate(
        [line.get_ydata() for line in loss.lines if line.get_label().startswith("_")]
    )
    np.testing.assert_array_equal(np.sort(points), [0.1, 0.2, 2, 3, 9])
    assert accuracy.get_xscale() == loss.get_yscale() == "log"
    assert "none at 1 (diverged)" in figure._supxlabel.get_text().replace("\n", " ")


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="no run"):
        draw_learning_rates([])
    assert draw_learning_rates([_row("bn", 0.1, 0, "failed")]).axes


BOTH = ("none", "bn")


def _lines(axes):
    """{label: [[x, y], ...]} of the lines that a legend names."""
    return {
        line.get_label(): line.get_xydata().tolist()
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def _dln(path, norm, rate, factor, **flags):
    """A DLN whose error, beta and cosines are known multiples of `factor`."""
    layers = layers_of(norm)
    cosine = [0.9, *[factor / 10] * (len(layers) - 1)]
    records = {
        "metrics": regression_rows(factor),
        "landscape": landscape_rows(factor),
        "ics": ics_rows(layers, cosine=cosine),
        **flags.pop("records", {}),
    }
    return dln_run(
        path / f"{norm}{rate}{flags}", records, norm, learning_rate=rate, **flags
    )


def test_the_dln_over_learning_rates_with_the_edge_of_stability(tmp_path):
    runs = [
        _dln(tmp_path, norm, rate, factor * (number + 1))
        for number, rate in enumerate(DLN_LEARNING_RATES)
        for norm, factor in (("none", 1.0), ("bn", 0.5))
    ]
    figure = paper_figure(15).draw(RunSet(runs))
    error, cosine, beta = (_lines(axes) for axes in figure.axes)
    numbers = [1, 2, 3, 4, 5]
    # The only row of metrics in the last 5 % of training has 100 / 30.
    np.testing.assert_allclose(
        error["standard"], np.transpose([DLN_LEARNING_RATES, np.array(numbers) / 0.3])
    )
    np.testing.assert_allclose(
        np.array(cosine["standard"])[:, 1], np.array(numbers) / 10
    )
    np.testing.assert_allclose(np.array(cosine["BN"])[:, 1], np.array(numbers) / 20)
    # The largest ratio is that of 2 x factor to 0.4 x 3.
    np.testing.assert_allclose(
        np.array(beta["standard"])[:, 1], np.array(numbers) * 2 / 1.2
    )
    np.testing.assert_allclose(
        beta["2 / learning rate"], [(rate, 2 / rate) for rate in DLN_LEARNING_RATES]
    )
    assert "2 / learning rate" not in error | cosine
    caption = paper_figure(15).caption(RunSet(runs))
    assert "learning rates 1e-07, 3e-07, 1e-06, 3e-06, 1e-05; seed 0." in caption


def test_sharpness_is_drawn_where_it_was_measured(tmp_path):
    rows = [{"step": step, "sharpness": 5.0 + step} for step in (0, 10, 20)]
    runs = [
        _dln(tmp_path, "none", 1e-7, 1.0, records={"sharpness": rows}),
        _dln(tmp_path, "none", 1e-5, 1.0),
        *(_dln(tmp_path, "bn", rate, 1.0) for rate in (1e-7, 1e-5)),
    ]
    *_, sharpness = paper_figure(15).draw(RunSet(runs)).axes
    assert "sharpness" in sharpness.get_ylabel()
    lines = _lines(sharpness)
    assert lines["standard"] == [[1e-7, 15.0]]
    assert lines["BN"] == []
    np.testing.assert_allclose(lines["2 / learning rate"], [[1e-7, 2e7], [1e-5, 2e5]])


def test_a_bare_output_has_its_own_row_with_the_same_standard_network(tmp_path):
    runs = [_dln(tmp_path, norm, rate, 1.0) for norm in BOTH for rate in (1e-7, 1e-5)]
    runs.append(_dln(tmp_path, "bn", 1e-7, 3.0, normalize_output=False))
    figure = paper_figure(15).draw(RunSet(runs))
    assert "output of the last layer bare" in texts(figure)
    ours, bare = (_lines(figure.axes[number]) for number in (0, 3))
    assert bare["standard"] == ours["standard"][:1]
    assert len(bare["BN"]) == 1
    np.testing.assert_allclose(bare["BN"][0][1], 3 * ours["BN"][0][1])
    assert "2 x 2, output bare, 5 samples" in paper_figure(15).caption(RunSet(runs))


def test_a_diverged_run_is_told_instead_of_drawn(tmp_path):
    runs = [
        _dln(tmp_path, norm, rate, 1.0)
        for norm, rate in (("none", 1e-7), ("bn", 1e-7), ("bn", 1e-5))
    ]
    result = {"status": "diverged", "step": 10}
    runs.append(_dln(tmp_path, "none", 1e-5, 1.0, result=result))
    figure = paper_figure(15).draw(RunSet(runs))
    lines = _lines(figure.axes[0])
    assert (len(lines["standard"]), len(lines["BN"])) == (1, 2)
    caption = paper_figure(15).caption(RunSet(runs))
    assert "DLN standard (learning rate 1e-05, seed 0) diverged within 10" in caption


def test_the_vgg_over_learning_rates_is_that_of_the_short_runs(tmp_path):
    runs = [
        vgg_run(
            tmp_path / f"{norm}{rate}",
            {
                "metrics": [{**row, "step": 3000} for row in image_rows(rate)[-1:]],
                "landscape": landscape_rows(),
            },
            norm,
            steps=VGG_SWEEP_STEPS,
            learning_rate=rate,
        )
        for rate in (0.01, 1.0)
        for norm in ("none", "bn")
    ]
    accuracy, beta = (_lines(axes) for axes in paper_figure(16).draw(RunSet(runs)).axes)
    np.testing.assert_allclose(accuracy["BN"], [[0.01, 0.003], [1.0, 0.3]])
    np.testing.assert_allclose(beta["BN"], [[0.01, 2 / 1.2], [1.0, 2 / 1.2]])
