"""Callbacks that follow a probe receive its latest values in `logs`."""

import csv
import warnings

import keras
import numpy as np
import pytest

import keras_bnsmooth as kb

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = RNG.normal(size=(40, 2)).astype("float32")
BATCH = (X[:8], Y[:8])
STEPS = 10  # an epoch of X in batches of 4
LOGGED = {
    kb.LandscapeProbe: (
        "landscape/beta",
        "landscape/loss_range",
        "landscape/gradient_distance",
    ),
    kb.ICSProbe: ("ics/l2", "ics/cosine"),
    kb.SharpnessProbe: ("sharpness/sharpness", "sharpness/critical_learning_rate"),
    kb.GradientNoiseProbe: (
        "gradient_noise/noise_scale",
        "gradient_noise/signal",
        "gradient_noise/variance",
        "gradient_noise/cosine",
    ),
    kb.SpectrumProbe: ("spectrum/largest", "spectrum/smallest", "spectrum/trace"),
    kb.LayerScaleProbe: (
        "layer_scales/total_distance",
        "layer_scales/update_ratio",
        "layer_scales/effective_learning_rate",
    ),
    kb.ActivationProbe: ("activations/mean", "activations/variance"),
}
every_probe = pytest.mark.parametrize("make", LOGGED)


def build():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def fit(callbacks, epochs=3, verbose=0, model=None):
    model = model or build()
    options = {"batch_size": 4, "epochs": epochs, "verbose": verbose}
    history = model.fit(X, Y, callbacks=callbacks, validation_data=BATCH, **options)
    return history.history


def values(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(v.numpy()) for v in variables]


@pytest.fixture(scope="module")
def plain():
    """Logs and variables of training without a probe."""
    model = build()
    return fit([], model=model), values(model)


def expected(make, history, row):
    """What `logs` receive of a row, from the definition of each value."""
    row = {name: values[row] for name, values in history.items()}
    if make is kb.LandscapeProbe:
        resolved = row["gradient_distances"][row["resolved"]]
        return [row["beta"], max(row["losses"]) - min(row["losses"]), max(resolved)]
    if make is kb.SpectrumProbe:
        return [row["eigenvalues"][0], row["lowest_eigenvalues"][0], row["trace"]]
    names = [name.split("/")[1] for name in LOGGED[make]]
    return [np.nanmean(row[name]) for name in names]


@every_probe
def test_history_has_the_latest_values_and_training_is_the_same(make, plain):
    history, variables = plain
    model, probe = build(), make(BATCH, every=[0, 7, 9, 23])
    found = fit([probe], model=model)
    assert found.keys() - history.keys() == set(LOGGED[make])
    assert found.items() >= history.items()
    for value, other in zip(values(model), variables, strict=True):
        np.testing.assert_array_equal(value, other)
    # The last steps measured in each epoch are 9, 9 and 23, in rows 2, 2 and 3.
    rows = [expected(make, probe.history, row) for row in (2, 2, 3)]
    logged = [found[name] for name in LOGGED[make]]
    np.testing.assert_allclose(np.transpose(logged), rows, rtol=1e-12)
    assert np.isfinite(logged).all()
    assert all(type(value) is float for of_name in logged for value in of_name)


@every_probe
def test_values_are_nan_before_the_first_measurement(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = fit([make(BATCH, every=[25])])
    for name in LOGGED[make]:
        np.testing.assert_array_equal(np.isnan(found[name]), [True, True, False])


@every_probe
def test_logs_are_left_alone_if_so_asked(make, plain):
    assert fit([make(BATCH, every=5, logs=False)]) == plain[0]


@every_probe
def test_callbacks_that_follow_receive_it(make, tmp_path, capsys):
    names, model = LOGGED[make], build()
    path = tmp_path / "log.csv"
    # No value improves on that of the first epoch.
    options = {"mode": "min", "min_delta": 1e30, "patience": 1}
    stopping = [keras.callbacks.EarlyStopping(n, **options) for n in names]
    reducing = [
        keras.callbacks.ReduceLROnPlateau(n, factor=0.5, **options) for n in names
    ]
    logger = keras.callbacks.CSVLogger(path)
    probe = make(BATCH, every=5)
    found = fit([probe, *stopping, *reducing, logger], verbose=2, model=model)
    assert [len(found[name]) for name in names] == [2] * len(names)
    assert [callback.stopped_epoch for callback in stopping] == [1] * len(names)
    rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    assert rate == pytest.approx(0.05 * 0.5 ** len(names))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    bars = capsys.readouterr().out.splitlines()
    bars = [line for line in bars if "val_loss: " in line]
    for name in names:
        assert [float(row[name]) for row in rows] == found[name]
        shown = [float(bar.split(f"{name}: ")[1].split(" ")[0]) for bar in bars]
        np.testing.assert_allclose(shown, found[name], rtol=1e-3, atol=1e-4)


def test_several_probes_have_names_of_their_own(recwarn):
    probes = [
        kb.LandscapeProbe(BATCH, every=5, direction=direction, name=direction)
        for direction in ("gradient", "update")
    ]
    silent = kb.LandscapeProbe(BATCH, every=5, logs=False, name="update")
    found = fit([*probes, silent], epochs=1)
    assert found["gradient/beta"] != found["update/beta"]
    # One after the other, they may have the same name.
    fit([kb.LandscapeProbe(BATCH, every=5, name="update")], epochs=1)
    assert not [w for w in recwarn if "in logs" in str(w.message)]


def test_a_name_that_two_probes_have_is_warned_of():
    one = kb.LandscapeProbe(BATCH, every=5)
    other = kb.LandscapeProbe(BATCH, every=5, direction="random")
    with pytest.warns(UserWarning, match="landscape/beta was in logs") as caught:
        found = fit([one, other], epochs=1)
    assert len([w for w in caught if "in logs" in str(w.message)]) == 1
    assert found["landscape/beta"] == [other.history["beta"][-1]]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([1, 3, 2], 2), ([1, np.inf], np.inf), ([np.inf] * 2, np.nan), ([], np.nan)],
)
def test_range_of_losses_that_are_not_finite(losses, expected):
    row = {"losses": losses} if losses else {}
    row |= {"gradient_distances": [1.0, 2.0, 9.0], "resolved": [True, True, False]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = kb.LandscapeProbe(BATCH, every=5).summary(row)
    np.testing.assert_array_equal(found["loss_range"], expected)
    assert found["gradient_distance"] == 2
    assert np.isnan(found["beta"])


def test_a_run_that_resumes_goes_on_with_the_values_of_its_record(tmp_path):
    model = build()

    def probe():
        return kb.SharpnessProbe(BATCH, every=[0], log_dir=tmp_path)

    first = fit([probe()], epochs=1, model=model)
    second = fit([probe()], epochs=1, model=model)
    name = "sharpness/sharpness"
    assert second[name] == first[name]
    assert np.isfinite(first[name]).all()


class Own(kb.ProbeCallback):
    logged = ("mean", "nothing")

    def measure(self, step, batch):
        return {"mean": [step, np.nan, 2.0], "hidden": 1.0, "nothing": [np.nan]}


def test_a_probe_of_ones_own_names_what_is_logged():
    found = fit([Own(BATCH, every=4, name="own")])
    assert found["own/mean"] == [5.0, 9.0, 15.0]
    assert np.isnan(found["own/nothing"]).all()
    assert "own/hidden" not in found
