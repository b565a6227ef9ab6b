from apps.figures.paper import Shown
from apps.settings import DLN, VGG
from apps.training.runs import RunSet
from tests.apps.figures.run_directories import dln_run, vgg_run


def test_a_line_says_network_data_schedule_and_seeds(tmp_path):
    runs = RunSet([vgg_run(tmp_path / "a", norm="none", augment=True)])
    assert Shown(runs, (VGG,), ("none", "bn")).describe() == (
        "VGG-11, width 8, on pictures of nothing, augmented, batch 4, 30 steps, "
        "learning rate 0.1; seed 0."
    )
    assert Shown(runs, (VGG,), ("none",)).describe_seeds() == ""


def test_seeds_are_told_apart_where_they_differ(tmp_path):
    runs = [
        dln_run(
            tmp_path / f"{reduction}{seed}", norm="bn", reduction=reduction, seed=seed
        )
        for reduction, seed in (("sum_mean", 0), ("sum_mean", 1), ("sum_sum", 0))
    ]
    network = (
        "DLN, 3 layers of 2 x 2, 5 samples, full batch, 30 steps, learning rate 1e-06; "
    )
    assert Shown(RunSet(runs), DLN, ("bn",)).describe() == (
        network + "sum_mean: seeds 0, 1; sum_sum: seed 0."
    )
    runs.append(dln_run(tmp_path / "none", norm="none", seed=7))
    assert Shown(RunSet(runs), DLN[:1], ("none", "bn")).describe() == (
        network + "standard seed 7; BN seeds 0, 1."
    )
    assert "medians over seeds" in Shown(RunSet(runs), DLN, ("bn",)).describe_seeds()
