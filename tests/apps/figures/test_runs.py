from apps.figures.training_curves import label_runs, style_runs
from keras_bnsmooth.plots.styles import STYLES
from tests.apps.figures.run_directories import save_run


def folders(tmp_path, *pairs):
    return [
        save_run(tmp_path / f"{norm}{depth}", {}, norm, depth=str(depth))
        for norm, depth in pairs
    ]


def test_labels_are_the_flags_in_which_runs_differ(tmp_path):
    bn11, bn13, l1 = folders(tmp_path, ("bn", 11), ("bn", 13), ("l1", 11))
    assert label_runs([bn11, bn13]) == ["depth 11", "depth 13"]
    assert label_runs([bn11, l1]) == ["bn", "l1"]


def test_folders_of_callbacks_are_labeled_by_their_name(tmp_path):
    (run,) = folders(tmp_path, ("bn", 11))
    (tmp_path / "mine").mkdir()
    assert label_runs([run, tmp_path / "mine"]) == ["bn", "mine"]


def test_a_norm_looks_the_same_as_in_the_figures_of_the_paper(tmp_path):
    bn, l1 = style_runs(folders(tmp_path, ("bn", 11), ("l1", 11)))
    assert (bn.color, l1.color) == (STYLES["bn"].color, STYLES["l1"].color)
    assert bn.label == "bn"


def test_runs_of_one_norm_look_different(tmp_path):
    first, second = style_runs(folders(tmp_path, ("bn", 11), ("bn", 13)))
    assert first.color != second.color


def test_runs_of_the_same_name_are_labeled_by_their_paths(tmp_path):
    before, after, other = (
        save_run(tmp_path / name, {}, "bn")
        for name in ("before/bn", "after/bn", "after/b")
    )
    assert label_runs([before, after]) == ["before", "after"]
    assert label_runs([before, after, other]) == ["before/bn", "after/bn", "after/b"]
    mine = [tmp_path / name / "mine" for name in ("x", "y")]
    assert label_runs(mine) == ["x", "y"]
