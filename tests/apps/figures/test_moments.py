import numpy as np

from apps.figures.activations import moment_changes
from apps.training.runs import RunSet
from tests.apps.figures.run_directories import (
    activation_rows,
    layers_of,
    paper_figure,
    texts,
    vgg_run,
)


def test_changes_are_those_between_steps_that_differ_by_one():
    record = {
        "step": np.array([0, 1, 10, 20, 21]),
        "mean": np.array([1.0, 4.0, 7.0, 8.0, 6.0]),
        "variance": np.array([1.0, 1.5, 7.0, 2.0, 2.25]),
    }
    # With and, as in older records, without the steps of the batches.
    for batches in ({"batch_step": np.array([0, 0, 10, 20, 20])}, {}):
        changes = moment_changes(record | batches)
        np.testing.assert_array_equal(changes["step"], [0, 20])
        np.testing.assert_array_equal(changes["mean"], [3, 2])
        np.testing.assert_array_equal(changes["variance"], [0.5, 0.25])


def test_changes_between_batches_do_not_count():
    steps = np.array([2, 3, 4, 5])
    record = {"step": steps, "batch_step": np.array([2, 2, 4, 5])}
    changes = moment_changes(record | {"mean": steps**2, "variance": steps})
    np.testing.assert_array_equal(changes["step"], [2])
    np.testing.assert_array_equal(changes["mean"], [5])


def test_the_caption_says_on_which_batches(runs, tmp_path):
    assert "steps, both on the batch of the first" in paper_figure(7).caption(runs)

    def without(row):
        return {name: value for name, value in row.items() if name != "batch_step"}

    older = [
        vgg_run(
            tmp_path / norm,
            {"activations": [without(row) for row in activation_rows(layers_of(norm))]},
            norm,
        )
        for norm in ("none", "bn", "noisy_bn")
    ]
    assert "steps, each on its own batch" in paper_figure(7).caption(RunSet(older))


def test_each_network_has_its_line(runs):
    figure = paper_figure(7).draw(runs)
    mean, variance = figure.axes[:2]
    for axes in (mean, variance):
        assert len(axes.lines) == 3
        assert axes.get_yscale() == "log"
    # (t + 1) ** 2 - t ** 2 at t = 0, 10, 20.
    np.testing.assert_array_equal(mean.lines[2].get_ydata(), [1, 21, 41])
    np.testing.assert_array_equal(variance.lines[0].get_ydata(), [1, 1, 1])
    for text in ("standard", "BN", "noisy BN", "change of the variance"):
        assert text in texts(figure)
