"""The vocabulary of the paper's experiments: networks, norms, settings, records.

Everything that distinguishes the paper's runs is named here, once.
"""

import dataclasses

import numpy as np

from keras_bnsmooth.models.norms import NORMS, norm_layer_name

NETWORKS = ("vgg", "dln")

VGG_NORMS = NORMS
# Noise alone makes the DLN diverge within 100 steps, see BUILD.md.
DLN_NORMS = tuple(norm for norm in NORMS if norm != "noise")
# Step sizes of the loss landscape in learning rates: the paper's (appendix A.2.2), from
# which its bands are drawn, and all that are measured. Smaller ones raise the limit of
# beta, 1 / smallest step size. "BatchNorm however continues to provide smoothing for
# even larger distances" (caption of figure 4) is judged on the larger ones.
PAPER_STEP_SIZES = {
    "vgg": np.geomspace(1 / 2, 4, 8),
    "dln": np.geomspace(1 / 100, 30, 8),
}
STEP_SIZES = {
    "vgg": np.concatenate(
        [np.geomspace(1 / 100, 1 / 2, 5)[:-1], PAPER_STEP_SIZES["vgg"], [8, 16]]
    ),
    "dln": np.append(PAPER_STEP_SIZES["dln"], [60, 120]),
}

# The norms of section 3.3.
LP_NORMS = ("l1", "l2", "linf")

# The record of each probe, and the flag that sets how often it is taken.
PROBES = {
    "landscape": "probe_every",
    "landscape_random": "random_probe_every",
    "landscape_filters": "filters_probe_every",
    "ics": "ics_every",
    "ics_joined": "ics_joined_every",
    "sharpness": "sharpness_every",
    "activations": "activations_every",
    "layer_scales": "layer_scales_every",
}


# The flags that may differ among the runs of one network, and their values in its main
# setting: the paper's. None is the value that most of these runs have, because depth
# and steps depend on how large the paper is reproduced.
MAIN = {
    "vgg": {
        "learning_rate": 0.1,
        "augment": False,
        "norm_after_centering": False,
        "steps": None,
        "depth": None,
    },
    "dln": {
        "learning_rate": 1e-6,
        "normalize_output": True,
        "norm_after_centering": False,
    },
}
# The norms that a flag affects, if not all.
_AFFECTED = {
    "normalize_output": tuple(norm for norm in NORMS if norm != "none"),
    "norm_after_centering": LP_NORMS,
}

# Learning rates at which each network is compared, and for how many steps the VGG.
VGG_LEARNING_RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
VGG_SWEEP_STEPS = 3000
DLN_LEARNING_RATES = (1e-7, 3e-7, 1e-6, 3e-6, 1e-5)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A network and the flags in which its runs differ from the main setting.

    Attributes:
        network: One of `NETWORKS`.
        title: Title of its panels.
        loss: Label of the loss axis.
        flags: Dict from some of the flags in `MAIN[network]` to their values.
    """

    network: str
    title: str
    loss: str
    flags: dict = dataclasses.field(default_factory=dict, hash=False)

    def having(self, title=None, **flags):
        """Returns this setting with other values of some flags, and another title."""
        return dataclasses.replace(
            self, title=title or self.title, flags=self.flags | flags
        )

    def runs(self, runs, norm, record="metrics"):
        """Returns the runs with this norm and record, ordered by seed.

        Args:
            runs: A `RunSet`.
            norm: Normalization.
            record: Name of the record.
        """
        selected = runs.select(self.network, norm, **self.flags)
        return [run for run in selected if run.has(record)]

    def records(self, runs, norm, record):
        """Returns the record of each of these runs, as `Run.record` does."""
        return [run.record(record) for run in self.runs(runs, norm, record)]


VGG = Setting("vgg", "VGG", "loss")
DLN = Setting("dln", "DLN", "squared error")
# Figure 1 compares both networks at this learning rate as well.
VGG_FAST = VGG.having(learning_rate=0.5)


def setting_flags(network, norm, flags):
    """Returns the flags that decide to which setting a run belongs, as a dict.

    These are the flags in `MAIN` that affect its norm. A flag that the run does not
    name has the value of the main setting.

    Args:
        network: One of `NETWORKS`.
        norm: Normalization.
        flags: Dict of the run's flags.
    """
    return {
        name: flags.get(name, value)
        for name, value in MAIN[network].items()
        if norm in _AFFECTED.get(name, NORMS)
    }


def linear_layers(layers, norm):
    """Returns the layers that networks with any norm share: all but normalizations.

    Args:
        layers: Names of layers, from input to output.
        norm: Normalization of the network that they belong to.
    """
    return [name for name in layers if not name.endswith(norm_layer_name("", norm))]
