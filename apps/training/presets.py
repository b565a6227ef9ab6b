"""Runs that the paper's figures and claims need, at three sizes.

demo     everything in small: embedded data, small networks, minutes on two CPU cores
cpu      the DLN at the paper's size; the VGG on CIFAR-10 with the paper's schedule, at
         a quarter of the width: a day on two CPU cores
paper    both at full size, three seeds of every norm: for a GPU
"""

import dataclasses

from apps.settings import (
    DLN_LEARNING_RATES,
    DLN_NORMS,
    LP_NORMS,
    MAIN,
    VGG_FAST,
    VGG_LEARNING_RATES,
    VGG_NORMS,
    VGG_SWEEP_STEPS,
    setting_flags,
)

_PAIR = ("none", "bn")
_NOISY = (*_PAIR, "noisy_bn")
# How the name of a run tells in which flags it differs from the main setting.
_MARKS = {
    "augment": "augmented",
    "norm_after_centering": "norm_after_centering",
    "normalize_output": "bare_output",
    "steps": "steps{}",
    "learning_rate": "lr{:g}",
}


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

    def belongs_to(self, setting, norm):
        """Returns whether a `Setting` selects this run for a norm."""
        if (self.network, self.flags["norm"]) != (setting.network, norm):
            return False
        wanted = MAIN[self.network] | setting.flags
        flags = setting_flags(self.network, norm, self.flags)
        return all(wanted[name] in (None, flags[name]) for name in flags)


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


@dataclasses.dataclass(frozen=True)
class Plan:
    """Runs of one network that differ from each other in few flags.

    Attributes:
        network: `"vgg"` or `"dln"`.
        flags: Dict of the flags of the main setting.
        probes: Dict of the flags of the probes.
        minutes: Approximate duration of a run.
    """

    network: str
    flags: dict
    probes: dict
    minutes: float

    def runs(
        self, norms, seeds, *, probes=None, minutes=None, learning_rates=(), **changes
    ):
        """Returns a list with one `PlannedRun` per learning rate, seed and norm.

        Args:
            norms: Normalizations.
            seeds: Integers.
            probes: Flags of the probes, if they differ from those of the plan.
            minutes: Approximate duration of a run, if it differs from the plan's.
            learning_rates: Learning rates, if not that of the main setting.
            **changes: Other flags that differ from those of the main setting.
        """
        if learning_rates:
            rates = [{"learning_rate": rate} for rate in learning_rates]
        else:
            rates = [{}]
        return [
            PlannedRun(
                f"apps.train_{self.network}",
                self._flags(norm, changes | rate, seed) | (probes or self.probes),
                self._name(norm, changes | rate, seed),
                minutes or self.minutes,
            )
            for rate in rates
            for seed in seeds
            for norm in norms
        ]

    def _flags(self, norm, changes, seed):
        main = {"learning_rate": MAIN[self.network]["learning_rate"], **self.flags}
        return {"norm": norm, **main, **changes, "seed": seed}

    def _name(self, norm, changes, seed):
        depth = changes.get("depth", self.flags.get("depth", ""))
        marks = [
            mark.format(changes[flag])
            for flag, mark in _MARKS.items()
            if flag in changes
        ]
        return "_".join([f"{self.network}{depth}", norm, *marks, f"seed{seed}"])


def _every(probe, random=0, ics=0, activations=0, sharpness=0, readings=0):
    """Returns the flags of the probes, from the steps between measurements."""
    return {
        "probe_every": probe,
        "random_probe_every": random,
        "filters_probe_every": random,
        "ics_every": ics,
        "ics_joined_every": readings,
        "sharpness_every": sharpness,
        "layer_scales_every": 2 * sharpness,
        "activations_every": activations,
    }


def _sparse(probes):
    """Returns flags of the probes for settings other than the main one.

    There are many such runs, and their records would be large: they are measured half
    as often, and not at all for figures that show the main setting only.
    """
    shown_once = ("activations_every", "layer_scales_every", "ics_joined_every")
    return {
        flag: 0 if flag in shown_once else every if "sharpness" in flag else 2 * every
        for flag, every in probes.items()
    }


def _small(vgg, dln):
    """Returns one seed of what every figure and claim needs."""
    rates = (min(DLN_LEARNING_RATES), max(DLN_LEARNING_RATES))
    return [
        *vgg.runs(VGG_NORMS, [0]),
        *dln.runs(DLN_NORMS, [0]),
        *vgg.runs(_PAIR, [0], probes=_every(0), **VGG_FAST.flags),
        *dln.runs(_PAIR, [0], learning_rates=rates),
        *dln.runs(["bn"], [0], normalize_output=False),
    ]


def _complete(vgg, dln, vgg_seeds, dln_seeds):
    """Returns all runs, the most informative first, in case time is limited.

    Args:
        vgg: `Plan` of the VGG.
        dln: `Plan` of the DLN.
        vgg_seeds: Dict from norm to the number of seeds of the VGG.
        dln_seeds: Number of seeds of the DLN.
    """
    seeds = range(dln_seeds)
    main_rate = MAIN["dln"]["learning_rate"]
    rates = [rate for rate in DLN_LEARNING_RATES if rate != main_rate]
    vgg_probes, dln_probes = map(_sparse, (vgg.probes, dln.probes))
    return [
        *vgg.runs(vgg_seeds, [0]),
        *dln.runs(DLN_NORMS, seeds),
        *dln.runs(_PAIR, seeds, learning_rates=rates, probes=dln_probes),
        *(
            run
            for seed in range(1, max(vgg_seeds.values()))
            for run in vgg.runs([n for n in vgg_seeds if seed < vgg_seeds[n]], [seed])
        ),
        # The standard network has no normalization to leave out after its last layer.
        *dln.runs(
            ["bn"],
            seeds,
            learning_rates=[main_rate, *rates],
            probes=dln_probes,
            normalize_output=False,
        ),
        *vgg.runs(
            (*_PAIR, "l1"),
            [0],
            learning_rates=VGG_LEARNING_RATES,
            probes=_every(VGG_SWEEP_STEPS // 10),
            minutes=vgg.minutes * VGG_SWEEP_STEPS / vgg.flags["steps"],
            steps=VGG_SWEEP_STEPS,
        ),
        *vgg.runs(_PAIR, [0], probes=vgg_probes, depth="11"),
        *vgg.runs(_PAIR, [0], probes=vgg_probes, augment=True),
        *dln.runs(LP_NORMS, seeds, learning_rates=rates, probes=dln_probes),
        *dln.runs(["l1", "linf"], seeds, probes=dln_probes, norm_after_centering=True),
        *vgg.runs(["l1", "linf"], [0], probes=vgg_probes, norm_after_centering=True),
        *vgg.runs(_PAIR, [0], probes=_every(0), **VGG_FAST.flags),
    ]


DEMO = Preset(
    "demo",
    _small(
        vgg=Plan(
            "vgg",
            {
                "dataset": "digits",
                "depth": "11",
                "width": 8,
                "steps": 400,
                "metrics_every": 10,
                "test_every": 50,
            },
            _every(10, random=50, ics=20, activations=20, sharpness=50, readings=200),
            minutes=0.8,
        ),
        dln=Plan(
            "dln",
            {"steps": 1000, "metrics_every": 20},
            _every(20, random=100, ics=40, activations=40, sharpness=100, readings=200),
            minutes=0.6,
        ),
    ),
    where="two CPU cores",
    needs="30 MB of disk space",
)

_CIFAR10 = {"dataset": "cifar10", "depth": "16", "steps": 15_000}

CPU = Preset(
    "cpu",
    _complete(
        vgg=Plan(
            "vgg",
            {**_CIFAR10, "width": 16},
            _every(
                100,
                random=500,
                ics=250,
                activations=1000,
                sharpness=500,
                readings=1500,
            ),
            minutes=60,
        ),
        dln=Plan(
            "dln",
            {"steps": 10_000},
            _every(
                100,
                random=500,
                ics=500,
                activations=1000,
                sharpness=500,
                readings=1000,
            ),
            minutes=2.5,
        ),
        vgg_seeds={norm: 3 if norm in _NOISY else 1 for norm in VGG_NORMS},
        dln_seeds=3,
    ),
    where="two CPU cores",
    needs="CIFAR-10 and 500 MB of disk space",
)

PAPER = Preset(
    "paper",
    _complete(
        vgg=Plan(
            "vgg",
            {**_CIFAR10, "width": 64},
            _every(
                50,
                random=500,
                ics=500,
                activations=500,
                sharpness=250,
                readings=1500,
            ),
            minutes=10,
        ),
        dln=Plan(
            "dln",
            {"steps": 10_000},
            _every(
                50,
                random=500,
                ics=250,
                activations=500,
                sharpness=250,
                readings=1000,
            ),
            minutes=2,
        ),
        vgg_seeds=dict.fromkeys(VGG_NORMS, 3),
        dln_seeds=3,
    ),
    where="a GPU (estimated, not measured)",
    needs="CIFAR-10 and 4 GB of disk space",
)

PRESETS = {preset.name: preset for preset in (DEMO, CPU, PAPER)}
