"""Runs that the paper's figures and claims need, at three sizes.

demo     everything in small: embedded data, small networks, minutes on two CPU cores
cpu      the DLN at the paper's size; the VGG on CIFAR-10 with the paper's schedule, at
         an eighth of the width: hours on two CPU cores
paper    both at full size, three seeds: for a GPU
"""

import dataclasses

from apps.settings import DLN_NORMS, REDUCTIONS, VGG_NORMS


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """A run to be made.

    Attributes:
        program: Module of the program, `"apps.train_vgg"` or `"apps.train_dln"`.
        flags: Dict of flags, without the run directory.
        name: Name of the run directory.
        minutes: Approximate duration, for the time left.
    """

    program: str
    flags: dict
    name: str
    minutes: float

    def arguments(self, folder):
        """Returns the command as a list, without the Python interpreter."""
        flags = {**self.flags, "workdir": f"{folder}/{self.name}"}
        return ["-m", self.program, *(f"--{k}={v}" for k, v in flags.items())]

    def command(self, folder):
        """Returns the command to type."""
        return " ".join(["python", *self.arguments(folder)])

    @property
    def network(self):
        """`"vgg"` or `"dln"`."""
        return self.program.removeprefix("apps.train_")

    @property
    def identity(self):
        """Dict that distinguishes the run from the others in a figure."""
        names = ("norm", "reduction", "learning_rate", "seed")
        return {
            "network": self.network,
            **{name: self.flags.get(name) for name in names},
        }


@dataclasses.dataclass(frozen=True)
class Preset:
    """A set of runs.

    Attributes:
        name: Value of `--preset`.
        runs: List of `PlannedRun`, the most informative ones first.
        where: Machine that the runs' durations refer to.
        needs: Data and disk space that the runs need.
    """

    name: str
    runs: list
    where: str
    needs: str


def _vgg(norm, seed, learning_rate=0.1, *, probes, minutes, **flags):
    suffix = "" if learning_rate == 0.1 else f"_lr{learning_rate}"
    name = f"vgg_{norm}{suffix}_seed{seed}"
    flags = {"norm": norm, **flags, "seed": seed, "learning_rate": learning_rate}
    return PlannedRun("apps.train_vgg", {**flags, **probes}, name, minutes)


def _dln(norm, reduction, seed, *, probes, minutes, **flags):
    name = f"dln_{reduction}_{norm}_seed{seed}"
    flags = {"norm": norm, "reduction": reduction, **flags, "seed": seed}
    flags = {**flags, "learning_rate": 1e-6, **probes}
    return PlannedRun("apps.train_dln", flags, name, minutes)


def _every(probe, random, ics, activations):
    return {
        "probe_every": probe,
        "random_probe_every": random,
        "ics_every": ics,
        "activations_every": activations,
    }


def _all(vgg, dln, vgg_seeds, dln_seeds):
    """All runs of a preset, the most informative first, in case time is limited."""
    runs = [_vgg(norm, seed, **vgg) for norm, seed in _in_order(VGG_NORMS, vgg_seeds)]
    runs += [
        _dln(norm, reduction, seed, **dln)
        for norm, seed in _in_order(DLN_NORMS, dln_seeds)
        for reduction in REDUCTIONS
    ]
    # For the claim that BN tolerates larger learning rates, which needs no landscape.
    unprobed = {**vgg, "probes": _every(0, 0, 0, 0)}
    runs += [_vgg(norm, 0, 0.5, **unprobed) for norm in ("none", "bn")]
    return runs


def _in_order(norms, seeds):
    """(norm, seed): all norms once, then more seeds of the main ones, then the rest."""
    again = [(norm, seed) for seed in range(1, seeds) for norm in norms]
    again.sort(key=lambda pair: pair[0] not in ("none", "bn"))
    return [(norm, 0) for norm in norms] + again


_CIFAR10 = {"dataset": "cifar10", "depth": 16}

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
            "probes": _every(10, 50, 20, 20),
        },
        dln={
            "steps": 1000,
            "metrics_every": 20,
            "minutes": 0.6,
            "probes": _every(20, 100, 40, 40),
        },
        vgg_seeds=1,
        dln_seeds=1,
    ),
    where="two CPU cores",
    needs="30 MB of disk space",
)

CPU = Preset(
    "cpu",
    _all(
        vgg={
            **_CIFAR10,
            "width": 8,
            "steps": 15_000,
            "minutes": 30,
            "probes": _every(100, 500, 250, 500),
        },
        dln={"steps": 10_000, "minutes": 3, "probes": _every(100, 500, 250, 500)},
        vgg_seeds=1,
        dln_seeds=3,
    ),
    where="two CPU cores",
    needs="CIFAR-10 and 150 MB of disk space",
)

PAPER = Preset(
    "paper",
    _all(
        vgg={
            **_CIFAR10,
            "width": 64,
            "steps": 15_000,
            "minutes": 10,
            "probes": _every(50, 500, 500, 500),
        },
        dln={"steps": 10_000, "minutes": 3, "probes": _every(50, 500, 250, 500)},
        vgg_seeds=3,
        dln_seeds=3,
    ),
    where="a GPU (estimated, not measured)",
    needs="CIFAR-10 and 2 GB of disk space",
)

PRESETS = {preset.name: preset for preset in (DEMO, CPU, PAPER)}
