"""The runs that the paper's figures and claims need, at three sizes.

demo     a toy of everything: embedded data, small networks, minutes on two CPU cores
cpu      the DLN at the paper's size; the VGG with the paper's schedule on CIFAR-10,
         at an eighth of the full width: hours on two CPU cores
paper    both at full size, three seeds: for a GPU
"""

import dataclasses

from apps.settings import DLN_NORMS, REDUCTIONS, VGG_NORMS


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """A run to be made.

    Attributes:
        program: Module of the program, `"apps.train_vgg"` or `"apps.train_dln"`.
        flags: Dict from flag to value, without the run directory.
        name: Of the run directory.
        minutes: How long it takes on one core, roughly; for the time left.
    """

    program: str
    flags: dict
    name: str
    minutes: float

    def arguments(self, folder):
        """Returns the command as a list, after the Python interpreter."""
        flags = {**self.flags, "workdir": f"{folder}/{self.name}"}
        return ["-m", self.program, *(f"--{k}={v}" for k, v in flags.items())]

    def command(self, folder):
        """Returns the command as a person types it."""
        return " ".join(["python", *self.arguments(folder)])

    @property
    def network(self):
        """`"vgg"` or `"dln"`."""
        return self.program.removeprefix("apps.train_")

    @property
    def identity(self):
        """What tells the run from the others of a figure, as a dict."""
        names = ("norm", "reduction", "learning_rate", "seed")
        return {
            "network": self.network,
            **{name: self.flags.get(name) for name in names},
        }


@dataclasses.dataclass(frozen=True)
class Preset:
    """A set of runs.

    Attributes:
        name: As in `--preset`.
        runs: List of `PlannedRun`, the most telling ones first.
        where: What the minutes of the runs were measured on.
        needs: What the runs need besides.
    """

    name: str
    runs: list
    where: str
    needs: str


def _vgg(norm, seed, learning_rate=0.1, *, probes, minutes, **flags):
    at = "" if learning_rate == 0.1 else f"_lr{learning_rate}"
    flags = {
        "norm": norm,
        **flags,
        "seed": seed,
        "learning_rate": learning_rate,
        **probes,
    }
    return PlannedRun("apps.train_vgg", flags, f"vgg_{norm}{at}_seed{seed}", minutes)


def _dln(norm, reduction, seed, *, probes, minutes, **flags):
    flags = {
        "norm": norm,
        "reduction": reduction,
        **flags,
        "seed": seed,
        "learning_rate": 1e-6,
        **probes,
    }
    return PlannedRun(
        "apps.train_dln", flags, f"dln_{reduction}_{norm}_seed{seed}", minutes
    )


def _every(probe, random, ics, activations):
    return {
        "probe_every": probe,
        "random_probe_every": random,
        "ics_every": ics,
        "activations_every": activations,
    }


def _all(vgg, dln, vgg_seeds, dln_seeds, vgg_probes, dln_probes):
    """All runs of a preset, the most telling first, in case time does not suffice."""
    runs = [
        _vgg(norm, seed, probes=vgg_probes, **vgg)
        for norm, seed in _in_order(VGG_NORMS, vgg_seeds)
    ]
    runs += [
        _dln(norm, reduction, seed, probes=dln_probes, **dln)
        for norm, seed in _in_order(DLN_NORMS, dln_seeds)
        for reduction in REDUCTIONS
    ]
    # For the claim that BN bears larger learning rates; no landscape is asked of it.
    never = _every(0, 0, 0, 0)
    runs += [_vgg(norm, 0, 0.5, probes=never, **vgg) for norm in ("none", "bn")]
    return runs


def _in_order(norms, seeds):
    """(norm, seed): all norms once, then the main ones, then the others again."""
    again = [(norm, seed) for seed in range(1, seeds) for norm in norms]
    main = [pair for pair in again if pair[0] in ("none", "bn")]
    others = [pair for pair in again if pair not in main]
    return [(norm, 0) for norm in norms] + main + others


DEMO = Preset(
    "demo",
    _all(
        vgg={
            "dataset": "digits",
            "depth": 11,
            "width": 8,
            "steps": 400,
            "metrics_every": 10,
            "test_every": 50,
            "minutes": 0.8,
        },
        dln={"steps": 1000, "metrics_every": 20, "minutes": 0.6},
        vgg_seeds=1,
        dln_seeds=1,
        vgg_probes=_every(10, 50, 20, 20),
        dln_probes=_every(20, 100, 40, 40),
    ),
    where="two CPU cores",
    needs="30 MB of disk",
)

CPU = Preset(
    "cpu",
    _all(
        vgg={
            "dataset": "cifar10",
            "depth": 16,
            "width": 8,
            "steps": 15_000,
            "minutes": 30,
        },
        dln={"steps": 10_000, "minutes": 3},
        vgg_seeds=1,
        dln_seeds=3,
        vgg_probes=_every(100, 500, 250, 500),
        dln_probes=_every(100, 500, 250, 500),
    ),
    where="two CPU cores",
    needs="CIFAR-10 and 150 MB of disk",
)

PAPER = Preset(
    "paper",
    _all(
        vgg={
            "dataset": "cifar10",
            "depth": 16,
            "width": 64,
            "steps": 15_000,
            "minutes": 10,
        },
        dln={"steps": 10_000, "minutes": 3},
        vgg_seeds=3,
        dln_seeds=3,
        vgg_probes=_every(50, 500, 500, 500),
        dln_probes=_every(50, 500, 250, 500),
    ),
    where="a GPU, estimated and not yet measured",
    needs="CIFAR-10 and 2 GB of disk",
)

PRESETS = {preset.name: preset for preset in (DEMO, CPU, PAPER)}
