"""Each statistic against a number worked out by hand."""

import functools
import math

import numpy as np
import pytest
import scipy.stats

from apps.claims import CLAIMS, statistics
from apps.settings import PROBES
from apps.training.runs import Run
from tests.apps.run_directories import layers_of, write_run


def _run(tmp_path, norm="bn", network="vgg", diverged=None, **rows):
    """A run whose rows are changed; `diverged` is the last step that was recorded."""
    if diverged is None:
        return Run(write_run(tmp_path, network, norm, rows=rows))
    for name in ("metrics", *PROBES):
        change = rows.get(name, lambda step, row: row)
        rows[name] = lambda step, row, change=change: (
            change(step, row) if step <= diverged else None
        )
    result = {"status": "diverged", "step": diverged}
    return Run(write_run(tmp_path, network, norm, rows=rows, result=result))


def _set(**values):
    """Changes entries of a row; functions are called with the step."""
    return lambda step, row: {
        **row,
        **{k: v(step) if callable(v) else v for k, v in values.items()},
    }


def _landscape(**values):
    """Changes a landscape to four step sizes in the paper's range, ||g|| = 2."""
    row = {
        "step_sizes": [0.05, 0.1, 0.2, 0.4],
        "losses": [1.05, 1.1, 1.2, 1.4],
        "losses_resolved": [True] * 4,
        "gradient_distances": [0.2, 0.4, 0.8, 1.6],
        "resolved": [True] * 4,
    }
    return _set(**row | values)


def _measure(name, **runs):
    (claim,) = (claim for claim in CLAIMS if claim.name == name)
    return claim.measure(runs)


def test_metrics_at_the_end_over_training_and_on_the_way(tmp_path):
    run = _run(tmp_path, metrics=_set(accuracy=lambda step: step / 100))
    assert statistics.at_the_end(run, "accuracy") == 1.0
    assert statistics.mean_accuracy(run) == pytest.approx(0.55)
    # The mean of 0.3 to 0.7 is 0.5.
    assert statistics.steps_to_accuracy(run, 0.5) == 70
    assert statistics.steps_to_accuracy(run, 0.9) == np.inf
    assert statistics.at_the_end(run, "test_accuracy") == 0.5


def test_the_end_is_the_last_twentieth_of_training(tmp_path):
    flags = {"steps": 400}
    by_step = _set(accuracy=lambda step: step / 1000)
    run = Run(write_run(tmp_path, rows={"metrics": by_step}, **flags))
    # Steps 390 and 400, without 380.
    assert statistics.at_the_end(run, "accuracy") == pytest.approx(0.395)


def test_a_diverged_run_ends_at_chance_with_an_infinite_error(tmp_path):
    for name, last in (("early", 30), ("late", 100)):
        run = _run(tmp_path / name, diverged=last)
        for quantity in ("accuracy", "test_accuracy"):
            assert statistics.at_the_end(run, quantity) == 0.1
        for quantity in ("test_loss", "loss"):
            assert statistics.at_the_end(run, quantity) == np.inf


def test_rows_after_a_divergence_count_as_failures(tmp_path):
    run = _run(
        tmp_path,
        diverged=30,
        metrics=_set(accuracy=0.5),
        landscape=_landscape(gradient_distances=[1, 1, 3, 3]),
    )
    # Rows at steps 10, 20 and 30 of ten; probes at 0 and 20 of five.
    assert statistics.mean_accuracy(run) == pytest.approx((3 * 0.5 + 7 * 0.1) / 10)
    assert statistics.predictive_share(run) == pytest.approx(2 / 5 / 2)
    for measure, recorded in (
        (statistics.loss_band, 0.35),
        (statistics.relative_loss_band, 0.35),
        (functools.partial(statistics.loss_band, with_start=True), 0.4),
        (statistics.gradient_band, 3.0),
        (statistics.gradient_norm, 2.0),
        (statistics.beta, 10.0),
        (statistics.beta_over_range, 3.0 / 0.8),
    ):
        np.testing.assert_allclose(measure(run), [recorded] * 2 + [np.inf] * 3)
    assert run.rows_lost("landscape") == 3
    assert statistics.steps_to_accuracy(run, 0.1) == np.inf


def test_a_run_that_diverges_in_a_shorter_last_interval_loses_no_row(tmp_path):
    rows = {"metrics": lambda step, row: {**row, "step": 95 if step == 90 else step}}
    result = {"status": "diverged", "step": 95}
    run = Run(write_run(tmp_path, rows=rows, result=result, steps=95))
    assert run.rows_lost("metrics") == 0


def test_claims_on_training_with_diverged_runs(tmp_path):
    none = _run(tmp_path / "1", "none", diverged=10)
    bn = _run(tmp_path / "2", "bn")
    noise = _run(tmp_path / "3", "noise", diverged=50)
    margin = _measure(
        "BN lets the VGG train at a larger learning rate", none=none, bn=bn
    )
    assert margin == pytest.approx(40)  # percentage points above chance
    noise_claim = "The same noise alone prevents training"
    assert _measure(noise_claim, none=bn, noise=noise) == 0
    assert np.isnan(_measure(noise_claim, none=none, noise=noise))

    errors = {
        "none": _run(tmp_path / "4", "none", "dln", diverged=10),
        "bn": _run(tmp_path / "5", "bn", "dln"),
    }
    ratio = "BN trains the DLN better"
    assert _measure(ratio, **errors) == np.inf
    assert _measure(ratio, none=errors["bn"], bn=errors["none"]) == 0
    assert np.isnan(_measure(ratio, none=errors["none"], bn=errors["none"]))
    share = _measure("l1 trains the DLN like BN", **errors, l1=errors["bn"])
    assert np.isnan(share)


def test_bands_and_their_ratio(tmp_path):
    a = _run(tmp_path / "a", landscape=_landscape(losses=[1, 3, 2, 5]))
    b = _run(
        tmp_path / "b",
        landscape=_landscape(losses=[1, 2, 2, 2], gradient_distances=[1, np.nan, 3, 4]),
    )
    np.testing.assert_array_equal(statistics.loss_band(a), [4] * 5)
    np.testing.assert_array_equal(statistics.gradient_band(b), [np.inf] * 5)
    ratio = statistics.median_ratio(statistics.loss_band(a), statistics.loss_band(b))
    assert ratio == 4


def test_what_may_be_rounding_is_no_band(tmp_path):
    rounding = _landscape(losses_resolved=[False] * 4, resolved=[False] * 4)
    run = _run(tmp_path / "a", landscape=rounding)
    for band in (statistics.loss_band, statistics.gradient_band, statistics.beta):
        np.testing.assert_array_equal(band(run), [np.nan] * 5)
    first, last = [True, True, False, False], [False, False, False, True]
    partly = _landscape(losses_resolved=last, resolved=first)
    run = _run(tmp_path / "b", landscape=partly)
    np.testing.assert_allclose(statistics.loss_band(run), [0.35] * 5)
    np.testing.assert_allclose(statistics.gradient_band(run), [0.4] * 5)


def test_a_median_needs_half_of_its_values():
    assert statistics.median(np.array([1.0, 3.0, np.nan])) == 2.0
    assert np.isnan(statistics.median(np.array([1.0, np.nan, np.nan])))
    assert np.isnan(statistics.median(np.array([])))


@pytest.mark.parametrize(
    ("distances", "resolved", "beta"),
    [
        ([0.2, 0.4, 0.8, 2.4], [True] * 4, 3.0),
        # s ||g|| is 0.1, 0.2, 0.4 and 0.8; what is not finite is never resolved.
        ([0.2, 0.6, 0.4, np.nan], [True] * 4, 3.0),
        ([0.2, 0.6, 0.4, np.inf], [True] * 4, 3.0),
        ([0.2, 0.6, 0.4, np.nan], [True, False, True, False], 2.0),
        ([0.2, 0.6, 0.4, np.inf], [False] * 4, np.nan),
        ([np.nan] * 4, [True] * 4, np.inf),
        ([0.2, 0.4, 0.8, 1.6], [False] * 4, np.nan),
        # Saturated: a lower bound of the curvature, not a measure of it.
        ([1.9, 2.0, 2.0, 2.0], [True] * 4, np.nan),
    ],
)
def test_beta_of_what_is_resolved_and_not_saturated(
    tmp_path, distances, resolved, beta
):
    row = _landscape(gradient_distances=distances, resolved=resolved)
    run = _run(tmp_path, landscape=row)
    np.testing.assert_allclose(statistics.beta(run), [beta] * 5)


def test_step_sizes_beside_the_papers_count_where_they_are_asked_for(tmp_path):
    # In learning rates: 1/1000, 1/2, 1, 2, 4, 30 and 60; the paper's are 1/2 to 4.
    run = _run(tmp_path, landscape=_set(gradient_distances=[0.002, 1, 1, 1, 3, 4, 5]))
    losses = np.array([1.05, 1.4, 1.8])
    np.testing.assert_allclose(statistics.loss_band(run), losses[1] - losses[0])
    beyond = {"step_sizes": "beyond paper"}
    found = statistics.loss_band(run, **beyond)
    np.testing.assert_allclose(found, losses[2] - losses[1])
    np.testing.assert_allclose(statistics.gradient_band(run), 3)
    np.testing.assert_allclose(statistics.gradient_band(run, **beyond), 5)
    np.testing.assert_allclose(statistics.beta(run), 0.002 / (1e-4 * 2))
    np.testing.assert_allclose(statistics.beta_over_range(run), 3 / (0.4 * 2))


def test_early_training_begins_when_chance_level_is_left(tmp_path):
    learning = _set(accuracy=lambda step: 0.1 if step < 100 else 0.9)
    values = np.arange(20)
    run = Run(write_run(tmp_path / "a", rows={"metrics": learning}, steps=400))
    # Five rows up to step 100 average 0.26, and the probe is every 20 steps.
    np.testing.assert_array_equal(statistics.early(run, values), [5, 6, 7])
    stuck = _run(tmp_path / "b", metrics=_set(accuracy=0.1))
    assert not statistics.early(stuck, values[:5]).size
    dln = _run(tmp_path / "c", network="dln")
    np.testing.assert_array_equal(statistics.early(dln, values[:5]), [0])
    diverged = _run(tmp_path / "d", network="dln", diverged=20)
    np.testing.assert_array_equal(diverged.scheduled_steps("ics"), [0, 20, 40, 60, 80])


def test_the_share_of_predictive_steps(tmp_path):
    distances = [1, 2, 2.1, np.nan]  # the gradient's norm is 2
    run = _run(tmp_path, landscape=_landscape(gradient_distances=distances))
    assert statistics.predictive_share(run) == 0.5


def test_gradient_errors_are_compared_at_the_same_distance(tmp_path):
    # 7 x distance against 2 x distance, though the step sizes mean other distances.
    sizes = np.array([0.1, 0.2, 0.4, 0.8])

    def linear(slope, norm):
        distances = slope * norm * sizes
        return _landscape(
            step_sizes=sizes / 2, gradient_norm=2 * norm, gradient_distances=distances
        )

    a = _run(tmp_path / "a", landscape=linear(7, 3.0))
    b = _run(tmp_path / "b", landscape=linear(2, 1.0))
    assert statistics.error_ratio_at_same_distance(a, b) == pytest.approx(3.5)
    far = _run(tmp_path / "c", landscape=_landscape(gradient_norm=1e9))
    assert np.isnan(statistics.error_ratio_at_same_distance(a, far))


def test_covariate_shift_is_compared_at_shared_layers(tmp_path):
    by_name = {name: i for i, name in enumerate(layers_of("bn"))}
    runs = {
        "none": _run(tmp_path / "none", "none"),
        "bn": _run(
            tmp_path / "bn", ics=_set(cosine=[i / 10 for i in by_name.values()])
        ),
    }
    found = statistics.covariate_shift(runs, "cosine")
    expected = [by_name["two"] / 10, by_name["three"] / 10]
    np.testing.assert_array_equal(found["bn"], [expected] * 5)
    np.testing.assert_array_equal(found["none"], [[0.5, 0.5]] * 5)


def test_distribution_shift_of_layer_inputs(tmp_path):
    def moments(step, row):
        layers = row["layers"]
        # Steps 0, 1, 50, 51; the mean moves by 2, then 10 and 2, the variance is 4.
        mean = {0: 0.0, 1: 2.0, 50: 10.0, 51: 12.0}[step]
        return {
            **row,
            # Neither after a normalization nor after the last layer.
            "mean": [mean if name in ("one", "two") else 1e6 * step for name in layers],
            "variance": [4.0 if step in (0, 50) else 5.0] * len(layers),
        }

    run = _run(tmp_path / "now", activations=moments)

    def without_batch_steps(step, row):
        row = moments(step, row)
        assert row.pop("batch_step") in (step, step - 1)
        return row

    older = _run(tmp_path / "older", activations=without_batch_steps)
    for one in (run, older):
        shift = statistics.distribution_shift(one, successive=True)
        assert shift == {"mean": 1.0, "variance": 0.25}
        shift = statistics.distribution_shift(one, successive=False)
        assert shift == {"mean": 5.0, "variance": 0.0}


def test_dead_units_are_ignored(tmp_path):
    run = _run(
        tmp_path,
        activations=lambda s, row: {**row, "variance": [0.0] * len(row["mean"])},
    )
    shift = statistics.distribution_shift(run, successive=True)
    assert np.isnan(list(shift.values())).all()


def test_distance_from_a_gaussian(tmp_path):
    bounds = np.linspace(-4, 4, 65)
    gaussian = scipy.stats.norm.cdf(bounds)
    uniform = np.clip((bounds + math.sqrt(3)) / math.sqrt(12), 0, 1)
    found = []
    for name, cdf in (("gaussian", gaussian), ("uniform", uniform)):
        counts = np.round(1e6 * np.diff(cdf))
        row = {"minimum": -4.0, "maximum": 4.0, "mean": 0.0, "variance": 1.0}
        run = _run(
            tmp_path / name,
            activations=lambda _, old, row=row, counts=counts: {
                **old,
                **{key: [value] * len(old["layers"]) for key, value in row.items()},
                "counts": [counts] * len(old["layers"]),
            },
        )
        found.append(statistics.distance_from_gaussian(run))
    assert found[0] < 1e-3
    # Largest difference of the two cumulative distributions.
    expected = np.abs(uniform - gaussian).max()
    assert found[1] == pytest.approx(expected, abs=1e-3)


def test_scale_factors_of_theorem_4_1(tmp_path):
    # gamma^2 = 8 after layers whose sigma^2 is 2.
    run = _run(
        tmp_path,
        activations=lambda _, row: {
            **row,
            "variance": [8.0 if "bn" in name else 2.0 for name in row["layers"]],
        },
    )
    np.testing.assert_allclose(statistics.scale_factors(run), np.full((4, 3), 4.0))
