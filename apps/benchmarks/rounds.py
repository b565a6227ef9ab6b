"""Times contestants side by side, so that the machine's own ups and downs cancel."""

import statistics


def medians(contestants, rounds):
    """Returns the median seconds of each contestant.

    Every round times all of them, one after another; a first round that is not
    counted warms them up.

    Args:
        contestants: Dict of functions without arguments that return the seconds of
            one measurement.
        rounds: Measurements of each.

    Returns:
        Dict of seconds under the same names.
    """
    for measure in contestants.values():
        measure()
    seconds = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            seconds[name].append(measure())
    return {name: statistics.median(values) for name, values in seconds.items()}


def print_table(seconds, reference, unit="step"):
    """Prints milliseconds and the ratio to the contestant called `reference`."""
    width = max(map(len, seconds))
    print(f"{'':{width}}  ms/{unit}  ratio to {reference}")
    for name, value in seconds.items():
        print(f"{name:{width}}  {value * 1e3:7.2f}  {value / seconds[reference]:.3f}")
