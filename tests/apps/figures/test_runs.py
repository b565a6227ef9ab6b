from apps.figures.runs import label_runs, style_runs
from apps.figures.styles import STYLES


def configs(*pairs):
    return [
        {"flags": {"norm": norm, "depth": depth, "workdir": f"{norm}{depth}"}}
        for norm, depth in pairs
    ]


def test_labels_are_the_flags_in_which_runs_differ():
    assert label_runs(configs(("bn", 11), ("bn", 13))) == ["depth 11", "depth 13"]
    assert label_runs(configs(("bn", 11), ("l1", 11))) == ["bn", "l1"]


def test_a_norm_looks_the_same_as_in_the_figures_of_the_paper():
    bn, l1 = style_runs(configs(("bn", 11), ("l1", 11)))
    assert (bn.color, l1.color) == (STYLES["bn"].color, STYLES["l1"].color)
    assert bn.label == "bn"


def test_runs_of_one_norm_look_different():
    first, second = style_runs(configs(("bn", 11), ("bn", 13)))
    assert first.color != second.color
