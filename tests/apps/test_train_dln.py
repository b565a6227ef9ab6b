import json

import keras
import numpy as np
import pytest

from apps.data import linear_teacher
from keras_bnsmooth.records import json_lines
from tests.apps.run_app import error_of, run_app, run_many

SMALL = ("--steps=40", "--metrics_every=20", "--depth=3", "--samples=50")


def test_the_loss_is_the_sum_over_samples_and_outputs_in_full_precision(tmp_path):
    # Without a learning rate, the saved weights are those of every step.
    arguments = (*SMALL, "--norm=none", "--learning_rate=0")
    done = run_app("train_dln", *arguments, f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    model = keras.models.load_model(tmp_path / "model.keras")
    x, y = linear_teacher(samples=50, dtype="float64")
    outputs = np.linalg.multi_dot([x, *model.get_weights()])
    single = keras.backend.backend() != "tensorflow"
    rows = json_lines.read(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [20, 40]
    for row in rows:
        expected = np.sum((outputs - y) ** 2)
        rtol = 1e-4 if single else 1e-12
        np.testing.assert_allclose(row["loss"], expected, rtol=rtol)
    assert (tmp_path / "training_curves.png").exists()
    flags = json.loads((tmp_path / "config.json").read_text())["flags"]
    assert flags["dtype"] == ("float32" if single else "float64")


def test_the_output_can_stay_bare(tmp_path):
    arguments = (*SMALL, "--norm=bn", "--normalize_output=false", "--ics_every=20")
    done = run_app("train_dln", *arguments, f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    row = json_lines.read(tmp_path / "ics.jsonl")[0]
    assert row["layers"][-2:] == ["linear2_bn", "linear3"]


def test_both_readings_of_the_norm_can_be_run(tmp_path):
    errors = []
    for flags in ((), ("--norm_after_centering",)):
        run = tmp_path / str(len(errors))
        done = run_app("train_dln", *SMALL, "--norm=l1", *flags, f"--workdir={run}")
        assert done.returncode == 0, done.stderr
        config = json.loads((run / "config.json").read_text())
        assert config["flags"]["norm_after_centering"] is bool(flags)
        errors.append(json_lines.read(run / "metrics.jsonl")[-1]["loss"])
    assert errors[0] != pytest.approx(errors[1], rel=1e-5)


def test_all_probes_measure_at_their_steps_and_change_nothing(tmp_path):
    arguments = (*SMALL, "--norm=bn")
    run_app("train_dln", *arguments, f"--workdir={tmp_path}/plain")
    probes = {
        "--probe_every=10": "landscape",
        "--random_probe_every=20": "landscape_random",
        "--filters_probe_every=20": "landscape_filters",
        "--ics_every=20": "ics",
        "--ics_joined_every=20": "ics_joined",
        "--activations_every=20": "activations",
    }
    done = run_app("train_dln", *arguments, *probes, f"--workdir={tmp_path}/probed")
    assert done.returncode == 0, done.stderr
    probed, plain = tmp_path / "probed", tmp_path / "plain"
    for flag, name in probes.items():
        every = int(flag.partition("=")[2])
        steps = [row["step"] for row in json_lines.read(probed / f"{name}.jsonl")]
        assert steps == list(range(0, 40, every))
        assert list((probed / name).glob("events.out.tfevents.*"))
    metrics = [(run / "metrics.jsonl").read_bytes() for run in (plain, probed)]
    assert metrics[0] == metrics[1]


def test_layer_scales_are_those_of_single_steps(tmp_path):
    rate = 1e-4
    done = run_app(
        "train_dln",
        *SMALL,
        "--norm=bn",
        f"--learning_rate={rate}",
        "--layer_scales_every=10",
        "--ics_every=20",
        f"--workdir={tmp_path}/run",
    )
    assert done.returncode == 0, done.stderr
    rows = json_lines.read(tmp_path / "run" / "layer_scales.jsonl")
    assert [row["step"] for row in rows] == [0, 10, 20, 30]
    for row in rows:
        linear = slice(0, None, 2)  # the others are normalizations
        weights, ratio, gradient, effective = (
            np.array(row[name])[linear]
            for name in (
                "weight_norm",
                "update_ratio",
                "gradient_norm",
                "effective_learning_rate",
            )
        )
        # A single step of gradient descent from weights without a bias.
        np.testing.assert_allclose(ratio, rate * gradient / weights, rtol=1e-5)
        np.testing.assert_allclose(effective, rate / weights**2, rtol=1e-5)


@pytest.mark.tensorflow  # in float64
@pytest.mark.slow
def test_xla_changes_no_loss_beyond_rounding(tmp_path):
    losses = []
    for xla in ("on", "off"):
        workdir = tmp_path / xla
        done = run_app(
            "train_dln",
            "--norm=l1",
            "--metrics_every=1",
            "--steps=20",
            f"--xla={xla}",
            f"--workdir={workdir}",
        )
        assert done.returncode == 0, done.stderr
        losses.append([r["loss"] for r in json_lines.read(workdir / "metrics.jsonl")])
    assert len(losses[0]) == 20
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_networks_larger_than_the_machine_are_refused():
    runs = ["--dim=100000"], ["--samples=1000000000000"], [f"--depth={10**12}"]
    for (flag,), done in zip(runs, run_many("train_dln", *runs), strict=True):
        line = error_of(done)
        assert flag in line and "needs at least" in line
    (done,) = run_many("train_dln", ["--logical_cpus=1000000000000"])
    assert "--logical_cpus=1000000000000" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_diverging_run_keeps_valid_records(tmp_path):
    workdir = tmp_path / "run"
    done = run_app(
        "train_dln", "--norm=none", "--learning_rate=1e-3", f"--workdir={workdir}"
    )
    assert "Training diverged" in error_of(done)
    assert json_lines.read(workdir / "metrics.jsonl")
    texts = (workdir / "metrics.jsonl").read_text().splitlines()
    texts += [(workdir / f"{name}.json").read_text() for name in ("config", "result")]
    for text in texts:
        json.loads(text, parse_constant=refuse)


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")
