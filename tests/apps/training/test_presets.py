import pytest

from apps.settings import (
    DLN,
    DLN_LEARNING_RATES,
    DLN_NORMS,
    LP_NORMS,
    VGG,
    VGG_FAST,
    VGG_LEARNING_RATES,
    VGG_NORMS,
    VGG_SWEEP_STEPS,
)
from apps.training.presets import PRESETS

SWEEP = VGG.having(steps=VGG_SWEEP_STEPS)
BARE = DLN.having(normalize_output=False)


def _seeds(preset, setting, norm):
    """Seeds of the runs of a setting at the main depth and, unless set, steps."""
    first = next(run for run in preset.runs if run.network == setting.network)
    size = {name: first.flags.get(name) for name in ("depth", "steps")}
    setting = setting.having(**{k: v for k, v in size.items() if setting is VGG})
    runs = [run for run in preset.runs if run.belongs_to(setting, norm)]
    return sorted(run.flags["seed"] for run in runs)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_no_run_is_planned_twice(preset):
    names = {run.name for run in preset.runs}
    flags = {(run.network, *sorted(run.flags.items())) for run in preset.runs}
    assert len(names) == len(flags) == len(preset.runs)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_norm_and_learning_rate_that_figures_show_is_there(preset):
    for setting, norms in ((VGG, VGG_NORMS), (DLN, DLN_NORMS), (VGG_FAST, BOTH)):
        for norm in norms:
            assert 0 in _seeds(preset, setting, norm)
    for rate in (min(DLN_LEARNING_RATES), max(DLN_LEARNING_RATES)):
        for norm in BOTH:
            assert 0 in _seeds(preset, DLN.having(learning_rate=rate), norm)
    assert 0 in _seeds(preset, BARE, "bn")


BOTH = ("none", "bn")


def test_the_cpu_preset_has_all_seeds_rates_and_readings():
    cpu = PRESETS["cpu"]
    for norm in VGG_NORMS:
        seeds = [0, 1, 2] if norm in ("none", "bn", "noisy_bn") else [0]
        assert _seeds(cpu, VGG, norm) == seeds
    for norm in DLN_NORMS:
        assert _seeds(cpu, DLN, norm) == [0, 1, 2]
    for rate in DLN_LEARNING_RATES:
        for norm in (*BOTH, *LP_NORMS):
            assert _seeds(cpu, DLN.having(learning_rate=rate), norm) == [0, 1, 2]
        for norm in BOTH:
            assert _seeds(cpu, BARE.having(learning_rate=rate), norm) == [0, 1, 2]
    for rate in VGG_LEARNING_RATES:
        for norm in (*BOTH, "l1"):
            assert _seeds(cpu, SWEEP.having(learning_rate=rate), norm) == [0]
    for norm in BOTH:
        assert _seeds(cpu, VGG.having(augment=True), norm) == [0]
        assert _seeds(cpu, VGG.having(depth="11"), norm) == [0]
    for norm in ("l1", "linf"):
        assert _seeds(cpu, VGG.having(norm_after_centering=True), norm) == [0]
        assert _seeds(cpu, DLN.having(norm_after_centering=True), norm) == [0, 1, 2]


def test_commands_name_every_flag_and_the_directory():
    run = PRESETS["cpu"].runs[-1]
    assert run.name == "vgg16_bn_lr0.5_seed0"
    command = run.command("runs/cpu")
    assert command.startswith("python -m apps.train_vgg --norm=bn --learning_rate=0.5 ")
    assert command.endswith("--workdir=runs/cpu/vgg16_bn_lr0.5_seed0")
