"""The runs that a figure needs, and the error where they are missing."""

import dataclasses

from apps.settings import Setting


@dataclasses.dataclass(frozen=True)
class Need:
    """At least one run that a figure cannot do without.

    Attributes:
        setting: Network and reduction.
        norm: Normalization.
        records: Names of the records that the run must hold.
    """

    setting: Setting
    norm: str
    records: tuple

    @property
    def flags(self):
        """What tells the run from others, as a dict."""
        flags = {"network": self.setting.network, "norm": self.norm}
        if self.setting.reduction:
            flags["reduction"] = self.setting.reduction
        return flags

    def is_met(self, runs):
        """Whether the `RunSet` has such a run."""
        return all(self.setting.runs(runs, self.norm, name) for name in self.records)

    def __str__(self):
        return " ".join(self.flags.values())


def need(settings, norms, *records):
    """Returns a `Need` for each setting and norm, as a tuple."""
    return tuple(Need(setting, norm, records) for setting in settings for norm in norms)


class MissingRunsError(ValueError):
    """A figure lacks runs.

    Args:
        number: Of the figure.
        needs: List of the `Need` that are not met.

    Attributes:
        missing: List of dicts, the flags of each missing run: network, norm and, for
            the DLN, reduction.
    """

    def __init__(self, number, needs):
        self.missing = [need.flags for need in needs]
        records = dict.fromkeys(name for need in needs for name in need.records)
        # Every run has metrics; the probes are what has to be asked for.
        probes = [name for name in records if name != "metrics"]
        super().__init__(
            f"figure {number} lacks runs: {', '.join(map(str, needs))}"
            + (f" with {' and '.join(probes)}" if probes else "")
        )


def check(number, needs, runs):
    """Raises a `MissingRunsError` unless the `RunSet` meets all needs."""
    missing = [need for need in needs if not need.is_met(runs)]
    if missing:
        raise MissingRunsError(number, missing)
