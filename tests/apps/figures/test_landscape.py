import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from apps.figures.training_curves import draw_probe_figure
from apps.training.runs import RunSet
from tests.apps.figures.run_directories import (
    dln_run,
    landscape_rows,
    paper_figure,
    save_run,
    texts,
    vgg_run,
)


def heights(band):
    """{step: (low, high)} of a band."""
    vertices = np.concatenate([path.vertices for path in band.get_paths()])
    return {
        float(step): (
            vertices[vertices[:, 0] == step, 1].min(),
            vertices[vertices[:, 0] == step, 1].max(),
        )
        for step in np.unique(vertices[:, 0])
    }


def bands(axes):
    return [artist for artist in axes.collections if isinstance(artist, PolyCollection)]


@pytest.fixture
def pair(tmp_path):
    return [
        vgg_run(tmp_path / "none", {"landscape": landscape_rows(10.0)}, "none"),
        vgg_run(tmp_path / "bn", {"landscape": landscape_rows()}, "bn"),
    ]


def test_bands_reach_from_the_least_to_the_greatest_value(pair):
    loss, gradient, beta = paper_figure(4).draw(RunSet(pair)).axes
    standard, bn = map(heights, bands(loss))
    assert standard == {0: (10, 40), 10: (10, 140), 20: (10, 240)}
    assert bn == {0: (1, 4), 10: (1, 14), 20: (1, 24)}
    assert heights(bands(gradient)[1])[10] == (0.1, 2.0)
    np.testing.assert_array_equal(beta.lines[0].get_xydata()[:, 1], [70, 170, 270])
    np.testing.assert_array_equal(beta.lines[1].get_xydata()[:, 1], [7, 17, 27])


def test_axes_are_logarithmic_and_labelled(pair):
    figure = paper_figure(4).draw(RunSet(pair))
    for axes in figure.axes:
        assert axes.get_yscale() == "log"
        assert axes.get_xlabel() == "step"
    for text in ("standard", "BN", "loss", "effective β-smoothness"):
        assert text in texts(figure)


def test_the_styles_of_bands_differ_without_colour(pair):
    loss = paper_figure(4).draw(RunSet(pair)).axes[0]
    assert len({band.get_hatch() for band in bands(loss)}) == 2


def test_seeds_are_put_together_by_their_median(tmp_path, pair):
    more = [
        vgg_run(
            tmp_path / f"bn{seed}",
            {"landscape": landscape_rows(factor)},
            "bn",
            seed=seed,
        )
        for seed, factor in ((1, 5.0), (2, 100.0))
    ]
    loss, _, beta = paper_figure(4).draw(RunSet([*pair, *more])).axes
    assert heights(bands(loss)[1])[0] == (5, 20)
    np.testing.assert_array_equal(beta.lines[1].get_ydata(), [35, 85, 135])
    assert heights(beta.collections[0])[0] == (7, 700)
    assert "BN seeds 0, 1, 2" in paper_figure(4).caption(RunSet([*pair, *more]))


def test_distances_that_may_be_rounding_are_left_out_and_counted(tmp_path, pair):
    rows = landscape_rows(resolved=[False, True, True])
    pair[1] = vgg_run(tmp_path / "rounded", {"landscape": rows})
    gradient = paper_figure(4).draw(RunSet(pair)).axes[1]
    assert heights(bands(gradient)[1])[0] == (0.5, 2.0)
    assert "rounding, are left out: VGG BN 33.3%." in paper_figure(4).caption(
        RunSet(pair)
    )


def test_the_dln_is_drawn_with_the_edge_of_stability(tmp_path):
    runs = RunSet(
        [
            dln_run(tmp_path / norm, {"landscape": landscape_rows(factor)}, norm)
            for norm, factor in (("none", 1.0), ("bn", 3.0))
        ]
    )
    figure = paper_figure(9).draw(runs)
    loss, _, beta = figure.axes
    assert heights(bands(loss)[0])[0] == (1, 4)
    assert heights(bands(loss)[1])[0] == (3, 12)
    assert beta.lines[-1].get_ydata()[0] == pytest.approx(2e6)
    assert "2 / learning rate" in texts(figure)
    assert "edge of stability" in paper_figure(9).caption(runs)
    assert "0.5 to 4 learning rates" in paper_figure(9).caption(runs)


def test_any_runs_are_drawn_with_what_is_not_a_number(tmp_path):
    rows = landscape_rows(beta=float("nan"))
    run = save_run(tmp_path / "a", {"landscape": rows})
    assert draw_probe_figure(
        "landscape", run, run, path=tmp_path / "landscape.png"
    ).exists()
    with pytest.raises(FileNotFoundError, match=r"holds landscape\.jsonl"):
        draw_probe_figure(
            "landscape", save_run(tmp_path / "b", {}), path=tmp_path / "b.png"
        )


def test_folders_that_only_a_probe_wrote_are_drawn_beside_runs(tmp_path):
    run = save_run(tmp_path / "a", {"landscape": landscape_rows()})
    probed = tmp_path / "mine"
    probed.mkdir()
    (probed / "landscape.jsonl").write_bytes((run / "landscape.jsonl").read_bytes())
    for runs in ([run, probed], [probed]):
        path = tmp_path / f"{len(runs)}.png"
        assert (
            draw_probe_figure("landscape", *runs, path=path)
            .read_bytes()
            .startswith(b"\x89PNG")
        )
