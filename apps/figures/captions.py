"""What captions say of the runs that a figure shows."""

from apps.figures.styles import STYLES

_SEEDS = (
    "Lines and the ends of bands are medians over seeds; light areas around lines are "
    "their range over seeds. "
)


def norm_name(norm):
    """The name of a normalization in plain text."""
    return norm if norm.startswith("l") else STYLES[norm].label


def describe(runs, settings, norms, record="metrics"):
    """Returns a line for each setting: network, data, schedule and seeds.

    Args:
        runs: A `RunSet`.
        settings: The `Setting` that the figure shows.
        norms: The normalizations that it shows.
        record: The record that it is drawn from.
    """
    # Both reductions of the DLN are one network; their seeds may differ.
    networks = {}
    for setting in settings:
        first = next(run for norm in norms for run in setting.runs(runs, norm, record))
        by_seeds = networks.setdefault(_network(first), {})
        seeds = describe_numbers(runs, setting, norms, record)
        by_seeds.setdefault(seeds, []).append(setting.reduction)
    return " ".join(
        f"{network}; "
        + "; ".join(
            seeds if len(by_seeds) == 1 else f"{', '.join(reductions)}: {seeds}"
            for seeds, reductions in by_seeds.items()
        )
        + "."
        for network, by_seeds in networks.items()
    )


def describe_numbers(runs, setting, norms, record="metrics"):
    """Returns the seeds of the runs shown, by norm where they differ."""
    seeds = {
        norm: _numbers([run.seed for run in setting.runs(runs, norm, record)])
        for norm in norms
        if setting.runs(runs, norm, record)
    }
    if len(set(seeds.values())) == 1:
        return next(iter(seeds.values()))
    return "; ".join(f"{norm_name(norm)} {of}" for norm, of in seeds.items())


def describe_seeds(runs, settings, norms, record="metrics"):
    """Returns what lines mean where there are several seeds, else nothing."""
    several = any(
        len(setting.runs(runs, norm, record)) > 1
        for setting in settings
        for norm in norms
    )
    return _SEEDS if several else ""


def describe_ends(runs, settings, norms):
    """Returns a sentence on each run that diverged, or nothing."""
    return "".join(
        f"{setting.network.upper()} {norm_name(norm)} (learning rate "
        f"{run.learning_rate:g}, seed {run.seed}) diverged within "
        f"{run.result.get('step', 0):,} steps. "
        for setting in settings
        for norm in norms
        for run in setting.runs(runs, norm)
        if run.diverged
    )


def _network(run):
    flags = run.flags
    if run.network == "vgg":
        augmented = ", augmented" if flags.get("augment") else ""
        network = (
            f"VGG-{flags.get('depth')}, width {flags.get('width')}, on "
            f"{run.config.get('provenance', flags.get('dataset'))}{augmented}, "
            f"batch {flags.get('batch_size')}"
        )
    else:
        network = (
            f"DLN, {flags.get('depth')} layers of {flags.get('dim')} x "
            f"{flags.get('dim')}, {flags.get('samples'):,} samples, full batch"
        )
    return f"{network}, {run.steps:,} steps, learning rate {run.learning_rate:g}"


def _numbers(seeds):
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))
