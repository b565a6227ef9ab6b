"""The catalogue of the paper's figures, and the runs that a figure shows.

runs = read_runs("runs/cpu")
for figure in FIGURES:
    figure.draw(runs).savefig(f"figure{figure.number}.png")
"""

import bisect
import dataclasses
from collections.abc import Callable

from apps.settings import LP_NORMS, Setting
from apps.training.runs import RunSet
from keras_bnsmooth.plots.drawing import finish
from keras_bnsmooth.plots.styles import STYLES

BOTH = ("none", "bn")
NOISY = (*BOTH, "noisy_bn")
ALL = (*BOTH, *LP_NORMS)

# Ordered by number; filled by `paper_figure`.
FIGURES = []


def paper_figure(*arguments, **keywords):
    """Returns a decorator that adds a drawing function to `FIGURES`.

    Args:
        *arguments: Those of `PaperFigure`.
        **keywords: Those of `PaperFigure`.
    """

    def add(drawing):
        figure = PaperFigure(drawing, *arguments, **keywords)
        bisect.insort(FIGURES, figure, key=lambda figure: figure.number)
        return drawing

    return add


class MissingRunsError(ValueError):
    """Raised if a figure lacks runs.

    Args:
        number: Number of the figure.
        missing: List of pairs of a `Setting` and a norm without runs.
        records: Names of the records that the runs need.
    """

    def __init__(self, number, missing, records):
        self.missing = missing
        # Every run has metrics; only probes have to be asked for.
        probes = " and ".join(name for name in records if name != "metrics")
        super().__init__(
            f"figure {number} lacks runs: "
            + ", ".join(_name(setting, norm) for setting, norm in missing)
            + (f" with {probes}" if probes else "")
        )


def _name(setting, norm):
    flags = (f"--{flag}={value}" for flag, value in setting.flags.items())
    return " ".join([setting.network, norm, *flags])


@dataclasses.dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper, or one of ours on its subject.

    Attributes:
        drawing: Function from a `Shown` to a matplotlib `Figure` without legend.
        number: Number in the paper; ours follow from 15 on.
        text: Title, then the parts of the caption: strings, or functions from `Shown`.
        settings: Settings that it shows.
        norms: Normalizations that it shows; each needs a run of each setting.
        records: Names of the records that these runs need.
        optional_norms: Normalizations that it shows if there are runs of them.
        optional_settings: Settings that it shows if there are runs of them.
    """

    drawing: Callable
    number: int
    text: tuple
    settings: tuple[Setting, ...] = ()
    norms: tuple[str, ...] = ()
    records: tuple[str, ...] = ("metrics",)
    optional_norms: tuple[str, ...] = ()
    optional_settings: tuple[Setting, ...] = ()

    @property
    def title(self):
        """What the figure shows, in a few words."""
        return self.text[0]

    def draw(self, runs):
        """Returns the matplotlib `Figure` of a `RunSet`.

        Raises:
            MissingRunsError: Runs are missing.
        """
        shown = self._select(runs)
        return finish(self.drawing(shown), shown.describe())

    def caption(self, runs):
        """Returns what the figure shows, with networks, data and seeds, as plain text.

        Raises:
            MissingRunsError: Runs are missing.
        """
        shown = self._select(runs)
        parts = (*self.text[1:], Shown.describe)
        return "".join(part if isinstance(part, str) else part(shown) for part in parts)

    def _select(self, runs):
        missing = [
            (setting, norm)
            for setting in self.settings
            for norm in self.norms
            if not all(setting.runs(runs, norm, name) for name in self.records)
        ]
        if missing:
            raise MissingRunsError(self.number, missing, self.records)
        there = [
            norm
            for norm in self.optional_norms
            if all(setting.runs(runs, norm) for setting in self.settings)
        ]
        settings = [
            setting
            for setting in self.optional_settings
            if all(setting.runs(runs, norm) for norm in self.norms)
        ]
        return Shown(
            runs,
            (*self.settings, *settings),
            (*self.norms, *there),
            self.records[0],
        )


@dataclasses.dataclass(frozen=True)
class Shown:
    """The runs that a figure shows.

    Attributes:
        runs: The `RunSet` that they are selected from.
        settings: Tuple of `Setting`.
        norms: Tuple of normalizations.
        record: Name of the record that is drawn.
    """

    runs: RunSet
    settings: tuple[Setting, ...]
    norms: tuple[str, ...]
    record: str = "metrics"

    def of(self, setting, norm):
        """Returns the `Run`s of a setting and norm, ordered by seed."""
        return setting.runs(self.runs, norm, self.record)

    def records(self, setting, record=None, norms=None):
        """Returns a dict from norm to the records of its runs, ordered by seed."""
        return {
            norm: setting.records(self.runs, norm, record or self.record)
            for norm in norms or self.norms
        }

    def describe(self):
        """Returns a sentence per network and seeds: size, data and schedule."""
        rates = {}
        for setting in self.settings:
            first = next(run for norm in self.norms for run in self.of(setting, norm))
            network = _describe_network(first, setting), self.seeds(setting)
            rates.setdefault(network, []).append(first.learning_rate)
        return " ".join(
            f"{network}, learning rate{'s' if len(of) > 1 else ''} "
            f"{', '.join(f'{rate:g}' for rate in sorted(of))}; {seeds}."
            for (network, seeds), of in rates.items()
        )

    def seeds(self, setting):
        """Returns the seeds of a setting's runs, by norm where they differ."""
        seeds = {
            norm: ("seed " if len(runs) == 1 else "seeds ")
            + ", ".join(str(run.seed) for run in runs)
            for norm in self.norms
            if (runs := self.of(setting, norm))
        }
        if len(set(seeds.values())) == 1:
            return next(iter(seeds.values()))
        return "; ".join(f"{norm_name(norm)} {of}" for norm, of in seeds.items())

    def describe_seeds(self):
        """Returns how several seeds are summarized, or "" if no run has several."""
        if all(len(self.of(*pair)) < 2 for pair in self._pairs()):
            return ""
        return (
            "Lines and the ends of bands are medians over seeds; shading around lines "
            "is the range over seeds. "
        )

    def describe_divergence(self):
        """Returns a sentence per run that diverged, or ""."""
        return "".join(
            f"{setting.network.upper()} {norm_name(norm)} (learning rate "
            f"{run.learning_rate:g}, seed {run.seed}) diverged within "
            f"{run.result.get('step', 0):,} steps. "
            for setting, norm in self._pairs()
            for run in setting.runs(self.runs, norm)
            if run.diverged
        )

    def _pairs(self):
        return [(setting, norm) for setting in self.settings for norm in self.norms]


def norm_name(norm):
    """Returns the name of a normalization in plain text."""
    return norm if norm.startswith("l") else STYLES[norm].label


def _describe_network(run, setting):
    flags = run.flags
    if run.network == "vgg":
        augmented = ", augmented" if flags.get("augment") else ""
        network = (
            f"VGG-{flags.get('depth')}, width {flags.get('width')}, on "
            f"{run.config.get('provenance', flags.get('dataset'))}{augmented}, "
            f"batch {flags.get('batch_size')}"
        )
    else:
        bare = "" if setting.flags.get("normalize_output", True) else ", output bare"
        network = (
            f"DLN, {flags.get('depth')} layers of {flags.get('dim')} x "
            f"{flags.get('dim')}{bare}, {flags.get('samples'):,} samples, full batch"
        )
    return f"{network}, {run.steps:,} steps"
