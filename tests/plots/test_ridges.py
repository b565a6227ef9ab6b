import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_bnsmooth.plots.ridges import draw_ridges
from keras_bnsmooth.plots.styles import STYLES


def drawn(steps, counts, count=10):
    axes = Figure().subplots()
    record = {
        "step": np.array(steps),
        "minimum": np.full(len(steps), -1.0),
        "maximum": np.full(len(steps), 3.0),
        "counts": np.array([counts] * len(steps)),
    }
    draw_ridges(axes, record, STYLES["bn"], count)
    return axes


def test_a_ridge_is_the_histogram_over_its_base():
    counts = [1, 2, 4, 1, 0]
    axes = drawn([0], counts)
    vertices = axes.collections[0].get_paths()[0].vertices
    heights = {float(x): vertices[vertices[:, 0] == x, 1].max() for x in vertices[:, 0]}
    # Middles of the bins, which are 0.8 wide.
    middles = np.arange(5) * 0.8 - 0.6
    found = np.array([heights[min(heights, key=lambda x: abs(x - m))] for m in middles])
    np.testing.assert_allclose(found / found.max(), np.array(counts) / 4)
    assert (min(heights), max(heights)) == (-1, 3)


def test_steps_go_up_and_successive_ones_are_shown_once():
    axes = drawn([0, 1, 50, 51, 100, 101], [1, 2, 1])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0", "50", "100"]
    bases = [
        path.vertices[:, 1].min() for c in axes.collections for path in c.get_paths()
    ]
    assert bases == [2, 1, 0]


def test_many_steps_are_thinned_out_evenly():
    axes = drawn(range(0, 3000, 100), [1, 2, 1], count=10)
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels[:3] == ["0", "300", "600"]
    assert len(labels) == 10


def test_few_values_are_shown_in_fewer_bins():
    counts = np.zeros(64, int)
    counts[:8] = 1
    merged = drawn([0], counts).collections[0].get_paths()[0].vertices
    fine = drawn([0], counts * 100_000).collections[0].get_paths()[0].vertices
    assert len(merged) < len(fine)


def test_tails_are_outside_and_a_panel_has_one_range():
    counts = np.zeros(100, int)
    counts[50], counts[99] = 100_000, 1
    low, high = drawn([0, 10], counts).get_xlim()
    assert -1 < low < high < 3
    assert low == pytest.approx(1.0, abs=0.01)


def test_distributions_of_every_step_are_not_mistaken_for_pairs():
    axes = drawn(range(100), [1, 2, 1], count=10)
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == [str(step) for step in range(0, 100, 10)]
