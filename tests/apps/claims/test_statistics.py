"""Each statistic against a number that was worked out by hand."""

import json

import numpy as np
import pytest

from apps.claims import statistics
from apps.training.runs import Run
from tests.apps.run_directories import layer_names, write_run


def _run(tmp_path, norm="bn", **rows):
    return Run(write_run(tmp_path, norm=norm, rows=rows))


def _set(**values):
    """Changes entries of a row; functions are called with the step."""
    return lambda step, row: {
        **row,
        **{k: v(step) if callable(v) else v for k, v in values.items()},
    }


def test_metrics_at_the_end_over_training_and_on_the_way(tmp_path):
    run = _run(tmp_path, metrics=_set(accuracy=lambda step: step / 100))
    assert statistics.at_the_end(run, "accuracy") == 1.0
    assert statistics.over_training(run, "accuracy") == pytest.approx(0.55)
    # The mean of 0.3 to 0.7 is 0.5.
    assert statistics.steps_to_reach(run, "accuracy", 0.5) == 70
    assert statistics.steps_to_reach(run, "accuracy", 0.9) == np.inf
    assert statistics.at_the_end(run, "test_accuracy") == 0.5


def test_a_diverged_run_has_an_infinite_error_and_no_accuracy(tmp_path):
    path = write_run(tmp_path)
    (path / "result.json").write_text(json.dumps({"status": "diverged"}))
    assert statistics.at_the_end(Run(path), "squared_error") == np.inf
    assert statistics.at_the_end(Run(path), "test_accuracy") == 0


def test_bands_and_their_ratio(tmp_path):
    a = _run(tmp_path / "a", landscape=_set(losses=[1, 3, 2, 5]))
    b = _run(
        tmp_path / "b",
        landscape=_set(losses=[1, 2, 2, 2], gradient_distances=[1, np.nan, 3, 4]),
    )
    np.testing.assert_array_equal(statistics.loss_band(a), [4] * 5)
    np.testing.assert_array_equal(statistics.gradient_band(b), [np.inf] * 5)
    ratio = statistics.median_ratio(statistics.loss_band(a), statistics.loss_band(b))
    assert ratio == 4


def test_the_share_of_predictive_steps(tmp_path):
    distances = [1, 2, 2.1, np.nan]  # the gradient's norm is 2
    run = _run(tmp_path, landscape=_set(gradient_distances=distances))
    assert statistics.predictive_share(run) == 0.5


def test_gradient_errors_are_compared_at_the_same_distance(tmp_path):
    # 7 x distance against 2 x distance, though the step sizes mean other distances.
    sizes = np.array([0.1, 0.2, 0.4, 0.8])
    a = _run(
        tmp_path / "a",
        landscape=_set(
            step_sizes=sizes, gradient_norm=3.0, gradient_distances=7 * 3.0 * sizes
        ),
    )
    b = _run(
        tmp_path / "b",
        landscape=_set(
            step_sizes=sizes, gradient_norm=1.0, gradient_distances=2 * 1.0 * sizes
        ),
    )
    assert statistics.error_ratio_at_same_distance(a, b) == pytest.approx(3.5)
    far = _run(tmp_path / "c", landscape=_set(gradient_norm=1e9))
    assert np.isnan(statistics.error_ratio_at_same_distance(a, far))


def test_covariate_shift_is_compared_at_shared_layers(tmp_path):
    by_name = {name: i for i, name in enumerate(layer_names("bn"))}
    runs = {
        "none": _run(tmp_path / "none", "none"),
        "bn": _run(
            tmp_path / "bn", ics=_set(cosine=[i / 10 for i in by_name.values()])
        ),
    }
    found = statistics.covariate_shift(runs, "cosine")
    expected = [by_name["conv2_1"] / 10, by_name["logits"] / 10]
    np.testing.assert_array_equal(found["bn"], [expected] * 5)
    np.testing.assert_array_equal(found["none"], [[0.5, 0.5]] * 5)


def test_distribution_shift_of_layer_inputs(tmp_path):
    def moments(step, row):
        count = len(row["layers"])
        # Steps 0, 1, 50, 51; the mean moves by 2, then 10 and 2, the variance is 4.
        mean = {0: 0.0, 1: 2.0, 50: 10.0, 51: 12.0}[step]
        return {
            **row,
            "mean": [mean if "bn" in name else 1e6 * step for name in row["layers"]],
            "variance": [4.0 if step in (0, 50) else 5.0] * count,
        }

    run = _run(tmp_path, activations=moments)
    assert statistics.distribution_shift(run, successive=True) == (1.0, 0.25)
    assert statistics.distribution_shift(run, successive=False) == (5.0, 0.0)


def test_units_that_are_dead_are_left_out(tmp_path):
    run = _run(tmp_path, activations=lambda s, row: {**row, "variance": [0.0] * 5})
    assert np.isnan(statistics.distribution_shift(run, successive=True)).all()
