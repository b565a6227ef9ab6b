from apps.figures.paper import Shown
from apps.settings import DLN, VGG
from apps.training.runs import RunSet
from tests.apps.figures.run_directories import dln_run, vgg_run


def test_a_line_says_network_data_schedule_and_seeds(tmp_path):
    runs = RunSet([vgg_run(tmp_path / "a", norm="none", augment=True)])
    augmented = (VGG.having(augment=True),)
    assert Shown(runs, augmented, ("none", "bn")).describe() == (
        "VGG-11, width 8, on pictures of nothing, augmented, batch 4, 30 steps, "
        "learning rate 0.1; seed 0."
    )
    assert Shown(runs, augmented, ("none",)).describe_seeds() == ""


def test_seeds_are_told_apart_where_they_differ(tmp_path):
    runs = [dln_run(tmp_path / f"bn{seed}", norm="bn", seed=seed) for seed in (0, 1)]
    runs.append(dln_run(tmp_path / "none", norm="none", seed=7))
    assert Shown(RunSet(runs), (DLN,), ("none", "bn")).describe() == (
        "DLN, 3 layers of 2 x 2, 5 samples, full batch, 30 steps, learning rate 1e-06; "
        "standard seed 7; BN seeds 0, 1."
    )
    assert "medians over seeds" in Shown(RunSet(runs), (DLN,), ("bn",)).describe_seeds()


def test_settings_are_told_by_their_flags(tmp_path):
    fast, bare = DLN.having(learning_rate=1e-5), DLN.having(normalize_output=False)
    runs = [dln_run(tmp_path / "main"), dln_run(tmp_path / "bare", **bare.flags)]
    runs += [dln_run(tmp_path / f"{seed}", seed=seed, **fast.flags) for seed in (0, 1)]
    network = "DLN, 3 layers of 2 x 2{}, 5 samples, full batch, 30 steps, "

    def describe(runs, *settings):
        return Shown(RunSet(runs), settings, ("bn",)).describe()

    assert describe(runs, DLN, fast, bare) == " ".join(
        network.format(output) + rest
        for output, rest in (
            ("", "learning rate 1e-06; seed 0."),
            ("", "learning rate 1e-05; seeds 0, 1."),
            (", output bare", "learning rate 1e-06; seed 0."),
        )
    )
    assert describe(runs[:3], DLN, fast) == (
        network.format("") + "learning rates 1e-06, 1e-05; seed 0."
    )
