from apps.training.runs import RunSet
from tests.apps.figures.run_directories import paper_figure, texts


def test_only_the_second_network_has_a_normalization():
    vanilla, normalized = paper_figure(5).draw(RunSet([])).axes
    for axes in (vanilla, normalized):
        for name in ("$x$", "$W$", "$y$", "rest of the"):
            assert name in texts(axes)
    assert "BatchNorm\n" not in texts(vanilla)
    assert r"z = \gamma \hat{y} + \beta" in texts(normalized)
