"""The vocabulary of the paper's experiments: networks, norms, reductions, records.

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
# beta, 1 / smallest step size.
PAPER_STEP_SIZES = {
    "vgg": np.geomspace(1 / 2, 4, 8),
    "dln": np.geomspace(1 / 100, 30, 8),
}
STEP_SIZES = {
    "vgg": np.append(np.geomspace(1 / 100, 1 / 2, 5)[:-1], PAPER_STEP_SIZES["vgg"]),
    "dln": PAPER_STEP_SIZES["dln"],
}

# The norms of section 3.3.
LP_NORMS = ("l1", "l2", "linf")

# How the DLN's squared error is reduced. The paper does not say, and its results
# depend on it.
REDUCTIONS = {
    "sum_mean": "sum over samples, mean over outputs",
    "sum_sum": "sum over samples and outputs",
}

# The record of each probe, and the flag that sets how often it is taken.
PROBES = {
    "landscape": "probe_every",
    "landscape_random": "random_probe_every",
    "ics": "ics_every",
    "sharpness": "sharpness_every",
    "activations": "activations_every",
    "layer_scales": "layer_scales_every",
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A network and the reduction of its loss.

    Attributes:
        network: One of `NETWORKS`.
        reduction: One of `REDUCTIONS` for the DLN, else None.
        title: Title of its panels.
        loss: Label of the loss axis.
        learning_rate: Learning rate; None selects the one that most runs have.
    """

    network: str
    reduction: str | None
    title: str
    loss: str
    learning_rate: float | None = None

    def runs(self, runs, norm, record="metrics"):
        """Returns the runs with this norm and record, ordered by seed.

        Args:
            runs: A `RunSet`.
            norm: Normalization.
            record: Name of the record.
        """
        selected = runs.select(
            self.network,
            norm,
            reduction=self.reduction,
            learning_rate=self.learning_rate,
        )
        return [run for run in selected if run.has(record)]

    def records(self, runs, norm, record):
        """Returns the record of each of these runs, as `Run.record` does."""
        return [run.record(record) for run in self.runs(runs, norm, record)]


VGG = Setting("vgg", None, "VGG", "loss")
DLN = tuple(
    Setting(
        "dln",
        reduction,
        f"DLN, squared error: {words}",
        f"squared error ({reduction.replace('_', ', ')})",
    )
    for reduction, words in REDUCTIONS.items()
)


def linear_layers(layers, norm):
    """Returns the layers that networks with any norm share: all but normalizations.

    Args:
        layers: Names of layers, from input to output.
        norm: Normalization of the network that they belong to.
    """
    return [name for name in layers if not name.endswith(norm_layer_name("", norm))]
