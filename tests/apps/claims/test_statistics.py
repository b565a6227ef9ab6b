"""Each statistic against a number worked out by hand."""

import numpy as np
import pytest

from apps.claims import statistics
from apps.claims.training import TRAINING
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


def _measure(name, **runs):
    (claim,) = (claim for claim in TRAINING if claim.name == name)
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
        landscape=_set(gradient_distances=[1, 1, 3, 3]),  # the gradient's norm is 2
    )
    # Rows at steps 10, 20 and 30 of ten; probes at 0 and 20 of five.
    assert statistics.mean_accuracy(run) == pytest.approx((3 * 0.5 + 7 * 0.1) / 10)
    assert statistics.predictive_share(run) == pytest.approx(2 / 5 / 2)
    for measure, recorded in (
        (statistics.loss_band, 0.35),
        (statistics.gradient_band, 3.0),
        (statistics.beta, 3.0),
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
    margin = _measure("BN tolerates a larger learning rate", none=none, bn=bn)
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
    lp = dict.fromkeys(("l1", "l2", "linf"), errors["bn"])
    assert np.isnan(_measure("l1, l2 and linf train the DLN like BN", **errors, **lp))


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


@pytest.mark.parametrize(
    ("distances", "resolved", "recorded", "beta"),
    [
        ([0.2, 0.4, 0.8, 1.6], [True] * 4, 3.0, 3.0),
        # s ||g|| is 0.1, 0.2, 0.4 and 0.8; what is not finite is never resolved.
        ([0.2, 0.6, 0.4, np.nan], [True] * 4, np.nan, 3.0),
        ([0.2, 0.6, 0.4, np.inf], [True] * 4, np.inf, 3.0),
        ([0.2, 0.6, 0.4, np.nan], [True, False, True, False], 2.0, 2.0),
        ([0.2, 0.6, 0.4, np.inf], [False] * 4, np.nan, np.nan),
        ([np.nan] * 4, [True] * 4, np.nan, np.inf),
        ([0.2, 0.4, 0.8, 1.6], [False] * 4, np.nan, np.nan),
    ],
)
def test_beta_does_not_depend_on_overflows(
    tmp_path, distances, resolved, recorded, beta
):
    row = _set(gradient_distances=distances, resolved=resolved, beta=recorded)
    run = _run(tmp_path, landscape=row)
    np.testing.assert_allclose(statistics.beta(run), [beta] * 5)


def test_the_share_of_predictive_steps(tmp_path):
    distances = [1, 2, 2.1, np.nan]  # the gradient's norm is 2
    run = _run(tmp_path, landscape=_set(gradient_distances=distances))
    assert statistics.predictive_share(run) == 0.5


def test_gradient_errors_are_compared_at_the_same_distance(tmp_path):
    # 7 x distance against 2 x distance, though the step sizes mean other distances.
    sizes = np.array([0.1, 0.2, 0.4, 0.8])

    def linear(slope, norm):
        distances = slope * norm * sizes
        return _set(step_sizes=sizes, gradient_norm=norm, gradient_distances=distances)

    a = _run(tmp_path / "a", landscape=linear(7, 3.0))
    b = _run(tmp_path / "b", landscape=linear(2, 1.0))
    assert statistics.error_ratio_at_same_distance(a, b) == pytest.approx(3.5)
    far = _run(tmp_path / "c", landscape=_set(gradient_norm=1e9))
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
        assert statistics.distribution_shift(one, successive=True) == (1.0, 0.25)
        assert statistics.distribution_shift(one, successive=False) == (5.0, 0.0)


def test_dead_units_are_ignored(tmp_path):
    run = _run(
        tmp_path,
        activations=lambda s, row: {**row, "variance": [0.0] * len(row["mean"])},
    )
    assert np.isnan(statistics.distribution_shift(run, successive=True)).all()
