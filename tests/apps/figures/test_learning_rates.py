import numpy as np
import pytest

from apps.figures.learning_rates import draw_learning_rates
from apps.report.grid import COLUMNS


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
