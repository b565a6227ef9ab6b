import sys

import keras
import numpy as np
import pytest
from matplotlib.collections import PolyCollection

import keras_bnsmooth as kb

X = np.linspace(-1, 1, 24).reshape(8, 3)


@pytest.fixture(scope="module")
def probes(tmp_path_factory):
    """The three probes of a short training, which also wrote a run folder."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("runs") / "bn"
    dense = [keras.layers.Dense(3, name=name) for name in ("one", "two", "three")]
    model = keras.Sequential([keras.Input((3,)), *dense])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    probes = [
        kb.LandscapeProbe((X, X**2), every=2, log_dir=folder),
        kb.ICSProbe((X, X**2), every=2, log_dir=folder),
        kb.ActivationProbe((X, X**2), every=2, log_dir=folder),
    ]
    model.fit(X, X**2, batch_size=4, epochs=3, verbose=0, callbacks=probes)
    return folder, *probes


def band(axes, index=0):
    """[rows, 3]: step, lowest and highest vertex of a band."""
    (path,) = [a for a in axes.collections if isinstance(a, PolyCollection)][
        index
    ].get_paths()
    steps = np.unique(path.vertices[:, 0])
    heights = [path.vertices[path.vertices[:, 0] == step, 1] for step in steps]
    return np.array(
        [[s, h.min(), h.max()] for s, h in zip(steps, heights, strict=True)]
    )


def legend(figure):
    return [text.get_text() for entry in figure.legends for text in entry.texts]


def test_bands_are_minimum_and_maximum_over_the_step_sizes(probes):
    folder, probe, *_ = probes
    history = probe.history
    doubled = history | {"losses": 2 * history["losses"]}
    figure = kb.plots.landscape({"bn": folder, "mine": probe, "twice": doubled})
    loss, gradient, beta = figure.axes
    expected = np.column_stack(
        [[0, 2, 4], history["losses"].min(1), history["losses"].max(1)]
    )
    for index in (0, 1):
        np.testing.assert_allclose(band(loss, index), expected)
    np.testing.assert_allclose(band(loss, 2)[:, 1:], 2 * expected[:, 1:])
    distances = history["gradient_distances"]
    assert history["resolved"].all()
    np.testing.assert_allclose(band(gradient)[:, 1], distances.min(1))
    np.testing.assert_allclose(band(gradient)[:, 2], distances.max(1))
    np.testing.assert_allclose(beta.lines[1].get_ydata(), history["beta"])
    assert legend(figure) == ["bn", "mine", "twice"]
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}


def test_unresolved_distances_and_losses_below_zero_are_drawn_as_they_are(probes):
    history = dict(probes[1].history)
    history["losses"] = history["losses"] - 10
    history["resolved"] = np.ones_like(history["resolved"])
    history["resolved"][1, 0] = False
    loss, gradient, _ = kb.plots.landscape(history).axes
    assert loss.get_yscale() == "linear"
    expected = history["gradient_distances"][1, 1:]
    np.testing.assert_allclose(band(gradient)[1, 1:], [expected.min(), expected.max()])


def test_saturated_points_are_hollow_below_their_ceiling(probes):
    history = dict(probes[1].history)
    rows, sizes = len(history["step"]), history["step_sizes"]
    history["gradient_norm"] = history["direction_norm"] = np.ones(rows)
    history["gradient_distances"] = np.full_like(sizes, 0.5)
    history["gradient_distances"][1, 0] = 0.95
    history["resolved"] = np.ones_like(history["resolved"])
    beta = kb.plots.landscape(history).axes[2]
    (hollow,) = [a for a in beta.collections if not isinstance(a, PolyCollection)]
    expected = [[history["step"][1], history["beta"][1]]]
    np.testing.assert_array_equal(hollow.get_offsets(), expected)
    np.testing.assert_allclose(beta.lines[-1].get_ydata(), 1 / sizes.min(axis=1))
    assert beta.lines[-1].get_label() == "1 / smallest step size"
    history["direction_norm"] = np.full(rows, 0.5)  # as along an update
    beta = kb.plots.landscape(history).axes[2]
    np.testing.assert_allclose(beta.lines[-1].get_ydata(), 2 / sizes.min(axis=1))
    assert beta.lines[-1].get_label() == "gradient turned around"


def test_sharpness_is_drawn_with_the_edge_of_stability():
    history = {
        "step": np.array([0, 5, 9]),
        "learning_rate": np.array([0.0, 0.1, 0.1]),
        "sharpness": np.array([5.0, 9.0, 21.0]),
        "critical_learning_rate": np.array([0.5, np.inf, 0.2]),
        "gradient_curvature": np.array([-1.0, 2.0, np.nan]),
    }
    twice = history | {"sharpness": 2 * history["sharpness"]}
    figure = kb.plots.sharpness({"bn": history, "none": twice})
    sharpness, critical, curvature = figure.axes
    np.testing.assert_array_equal(sharpness.lines[1].get_ydata(), [10, 18, 42])
    # One line for both, whose learning rates are the same.
    edge, *others = sharpness.lines[2:]
    assert not others
    np.testing.assert_allclose(edge.get_xydata(), [[5, 20], [9, 20]])
    np.testing.assert_allclose(critical.lines[0].get_ydata(), [0.5, np.nan, 0.2])
    np.testing.assert_allclose(curvature.lines[0].get_ydata(), [-1, 2, np.nan])
    assert curvature.get_yscale() == "symlog"
    assert legend(figure) == ["bn", "none", "2 / learning rate", "learning rate"]
    with pytest.raises(ValueError, match="this is no sharpness record"):
        kb.plots.sharpness({"step": [0], "beta": [1]})


def test_covariate_shift_is_that_of_the_chosen_layers(probes):
    folder, _, probe, _ = probes
    figure = kb.plots.covariate_shift(folder, layers=["three", "two"])
    three, two, l2_three, l2_two = figure.axes
    assert (three.get_title(), two.get_title()) == ("three", "two")
    for axes, quantity, layer in (
        (three, "cosine", 2),
        (two, "cosine", 1),
        (l2_three, "l2", 2),
        (l2_two, "l2", 1),
    ):
        np.testing.assert_allclose(
            axes.lines[0].get_ydata(), probe.history[quantity][:, layer]
        )
    # The first layer has no layers before it, hence no shift.
    default = kb.plots.covariate_shift(probe)
    assert [axes.get_title() for axes in default.axes[:2]] == ["two", "three"]
    assert legend(default) == []


def test_ridges_span_the_activations_of_each_step(probes):
    folder, *_, probe = probes
    figure = kb.plots.activations({"a": folder, "b": probe}, layers=["two"])
    unit = probe.history["units"][0, 1]
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"a\ntwo, unit {unit}", f"b\ntwo, unit {unit}"]
    ridges = figure.axes[1].collections
    found = sorted(
        (float(v[:, 1].min()), float(v[:, 0].min()), float(v[:, 0].max()))
        for v in (ridge.get_paths()[0].vertices for ridge in ridges)
    )
    low, high = (probe.history[name][:, 1] for name in ("minimum", "maximum"))
    np.testing.assert_allclose(found, np.column_stack([[0, 1, 2], low, high]))


def test_layers_are_paired_by_position_where_no_name_is_shared(probes):
    history = probes[3].history
    renamed = history | {"layers": np.char.add(history["layers"], "_1")}
    figure = kb.plots.activations({"a": history, "b": renamed})
    names = [axes.get_title().split("\n")[1].split(",")[0] for axes in figure.axes]
    assert names == ["one", "one_1", "two", "two_1"]
    figure = kb.plots.activations(
        {"a": history, "b": renamed}, layers={"b": ["two_1"], "a": ["three"]}
    )
    assert [axes.get_title()[:7] for axes in figure.axes] == ["a\nthree", "b\ntwo_1"]


def test_notebooks_show_figures_inline(probes):
    figure = kb.plots.landscape(probes[1])
    assert figure._repr_png_().startswith(b"\x89PNG")
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    data, _ = shell.instance().display_formatter.format(figure)
    assert data["image/png"].startswith(b"\x89PNG")


def test_a_record_file_of_a_probe_with_another_name_is_read(probes, tmp_path):
    path = tmp_path / "landscape_random.jsonl"
    path.write_bytes((probes[0] / "landscape.jsonl").read_bytes())
    loss = kb.plots.landscape(path).axes[0]
    np.testing.assert_allclose(
        band(loss)[:, 1], probes[1].history["losses"].min(axis=1)
    )


def test_mistakes_are_named_in_one_line(probes, tmp_path):
    *_, ics, activations = probes
    with pytest.raises(FileNotFoundError, match=r"no .*nowhere; pass the log_dir"):
        kb.plots.landscape(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no .*ics\.jsonl; pass"):
        kb.plots.covariate_shift({"bn": tmp_path})
    for empty in ({}, {"bn": {}}, kb.LandscapeProbe((X, X), every=1)):
        with pytest.raises(ValueError, match="to draw"):
            kb.plots.landscape(empty)
    with pytest.raises(ValueError, match=r"run 'a': this is no landscape record"):
        kb.plots.landscape({"a": ics})
    with pytest.raises(ValueError, match="recorded layers, one, two, three"):
        kb.plots.covariate_shift(ics, layers=["four"])
    with pytest.raises(ValueError, match="received 3"):
        kb.plots.landscape(3)
    with pytest.raises(ValueError, match="same number of names"):
        kb.plots.activations({"a": activations}, layers={"b": ["one"]})


def test_without_matplotlib_the_extra_is_named(probes, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "keras_bnsmooth.plots.drawing")
    monkeypatch.delattr(kb.plots, "drawing")
    with pytest.raises(ModuleNotFoundError, match=r'"keras-bnsmooth\[plots\]"'):
        kb.plots.landscape(probes[1])


def test_gradient_noise_of_all_weights_and_of_layers():
    history = {
        "step": np.array([0, 5, 9]),
        "layers": np.array([["one", "two"]] * 3),
        "batch_size": np.array([32.0, 32.0, 32.0]),
        "signal": np.array([4.0, -1.0, 9.0]),
        "noise_scale": np.array([5.0, np.inf, 21.0]),
        "cosine": np.array([0.5, 0.1, 0.2]),
    }
    for name in ("signal", "noise_scale", "cosine"):
        history[f"layer_{name}"] = np.stack([history[name], 2 * history[name]], axis=1)
    figure = kb.plots.gradient_noise({"bn": history, "none": history}, layers=["two"])
    scale, layer_scale, length, layer_length, cosine, layer_cosine = figure.axes
    assert (scale.get_title(), layer_scale.get_title()) == ("all weights", "two")
    np.testing.assert_array_equal(scale.lines[0].get_ydata(), [5, np.nan, 21])
    # One line for both, whose batches are of one size.
    (batch_size,) = scale.lines[2:]
    np.testing.assert_array_equal(batch_size.get_ydata(), [32, 32, 32])
    np.testing.assert_array_equal(layer_scale.lines[1].get_ydata(), [10, np.nan, 42])
    np.testing.assert_allclose(length.lines[0].get_ydata(), [2, np.nan, 3])
    np.testing.assert_allclose(layer_length.lines[0].get_ydata()[0], np.sqrt(8))
    np.testing.assert_array_equal(cosine.lines[0].get_ydata(), [0.5, 0.1, 0.2])
    np.testing.assert_array_equal(layer_cosine.lines[0].get_ydata(), [1, 0.2, 0.4])
    assert legend(figure) == ["bn", "none", "batch size"]
    with pytest.raises(ValueError, match="no gradient_noise record"):
        kb.plots.gradient_noise({"step": [0], "layers": [["one"]]})


def test_spectra_of_several_moments_are_drawn_on_a_logarithmic_axis():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    result = kb.probes.spectrum(model, X, X**2, draws=2)
    figure = kb.plots.spectrum({"start": result, "end": result})
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    for line in axes.lines:
        np.testing.assert_array_equal(line.get_xdata(), result.grid)
        np.testing.assert_array_equal(line.get_ydata(), result.density)
    low, high = axes.get_ylim()
    assert 0 < low < result.density.max() < high
    assert legend(figure) == ["start", "end"]
    assert legend(kb.plots.spectrum(result)) == []
    with pytest.raises(ValueError, match="nothing to draw"):
        kb.plots.spectrum({})
    with pytest.raises(ValueError, match="pass a run folder, a probe or its history"):
        kb.plots.spectrum({"bn": 3})


def test_spectra_of_a_record_are_drawn_at_four_moments(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    probe = kb.SpectrumProbe((X, X**2), every=1, steps=3, draws=1, log_dir=tmp_path)
    model.fit(X, X**2, epochs=7, verbose=0, callbacks=[probe])
    figure = kb.plots.spectrum(probe)
    assert legend(figure) == ["step 0", "step 2", "step 4", "step 6"]
    for line, density in zip(
        figure.axes[0].lines, probe.history["density"][::2], strict=True
    ):
        np.testing.assert_array_equal(line.get_ydata(), density)
    figure = kb.plots.spectrum({0: tmp_path, "one": probe.history})
    assert legend(figure)[3:5] == ["0, step 6", "one, step 0"]


def test_a_spectrum_that_is_not_finite_leaves_the_panel_empty():
    nan = np.full((1, 1024), np.nan)
    history = {"step": np.array([3]), "grid": nan, "density": nan, "size": [5]}
    figure = kb.plots.spectrum(history)
    figure.canvas.draw()
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).all()


def scales(layers, rates, rows=3):
    """A record of layer scales with the same effective rates at every step."""
    shape = (rows, len(layers))
    return {
        "step": np.arange(rows),
        "layers": np.array([layers] * rows),
        "weight_norm": np.full(shape, 2.0),
        "update_ratio": np.arange(1.0, 1 + rows)[:, None] * np.arange(1, 1 + shape[1]),
        "effective_learning_rate": np.array([rates] * rows),
    }


def test_layer_scales_are_those_of_normalized_layers():
    nan = np.nan
    bn = scales(["one", "one_bn", "two", "two_bn"], [nan, nan, 0.5, nan])
    none = scales(["one", "two"], [nan, nan])
    figure = kb.plots.layer_scales({"bn": bn, "none": none})
    ratio, rate, weights = figure.axes
    assert ratio.get_title() == "two"
    np.testing.assert_allclose(ratio.lines[0].get_ydata(), bn["update_ratio"][:, 2])
    np.testing.assert_allclose(ratio.lines[1].get_ydata(), none["update_ratio"][:, 1])
    np.testing.assert_allclose(rate.lines[0].get_ydata(), 0.5)
    assert np.isnan(rate.lines[1].get_ydata()).all()
    np.testing.assert_allclose(weights.lines[1].get_ydata(), 2.0)
    assert legend(figure) == ["bn", "none"]
    # Without normalizations, evenly spaced layers.
    assert [axes.get_title() for axes in kb.plots.layer_scales(none).axes[:2]] == [
        "one",
        "two",
    ]
    bn |= {"distance": bn["update_ratio"] / 2}
    ratio, _, _, distance = kb.plots.layer_scales(bn, layers=["one_bn"]).axes
    np.testing.assert_allclose(distance.lines[0].get_ydata(), bn["distance"][:, 1])
    np.testing.assert_allclose(ratio.lines[0].get_ydata(), bn["update_ratio"][:, 1])
    with pytest.raises(ValueError, match="no layer_scales record"):
        kb.plots.layer_scales({"step": np.arange(3), "layers": bn["layers"]})
