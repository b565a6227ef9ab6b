"""Ridge plots of the distribution of an activation over training."""

import numpy as np

# Height of a ridge, in units of the distance between two baselines.
_HEIGHT = 1.7
# Share of a distribution, at either end, that may fall outside the axes.
_TAIL = 0.002


def draw_ridges(axes, record, style, count=10):
    """Draws one distribution per training step, with the first step at the bottom.

    All ridges have the same height; their widths already show how peaked they are.

    Args:
        axes: Where to draw.
        record: Record of one layer: `step` [rows], `minimum` and `maximum` [rows],
            `counts` [rows, bins].
        style: A `Style`.
        count: Maximum number of distributions, evenly spaced among the recorded ones.
    """
    rows = _choose_rows(record["step"], count)
    ends = []
    # From the top down, so that later ridges do not hide the feet of earlier ones.
    for base, row in reversed(list(enumerate(rows))):
        counts = _merge_bins(record["counts"][row])
        low, high = record["minimum"][row], record["maximum"][row]
        if not (counts.any() and np.isfinite([low, high]).all()):
            continue
        limits = np.linspace(low, high, len(counts) + 1)
        ends.append(_without_tails(counts, limits))
        axes.fill_between(
            [low, *(limits[:-1] + limits[1:]) / 2, high],
            base,
            base + _HEIGHT * np.array([0, *counts, 0]) / counts.max(),
            facecolor=_lighten(style.color),
            edgecolor=style.color,
            linewidth=0.7,
            zorder=3 - base / len(rows),
        )
    if ends:
        lows, highs = zip(*ends, strict=True)
        axes.set_xlim(min(lows), max(highs))
    axes.set_yticks(
        range(len(rows)), [f"{step:,}" for step in record["step"][rows]], fontsize=7
    )
    axes.set_ylim(-0.3, len(rows) - 1 + _HEIGHT + 0.2)
    axes.tick_params(axis="x", labelsize=7)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "left", "right"]].set_visible(False)


def _choose_rows(steps, count):
    """Returns at most `count` rows, skipping the second step of successive pairs."""
    numbers = np.arange(len(steps))
    starts = np.diff(steps, prepend=-2) != 1
    in_sequence = numbers - np.maximum.accumulate(np.where(starts, numbers, 0))
    scheduled = np.flatnonzero(in_sequence % 2 == 0)
    return scheduled[:: -(-len(scheduled) // count)]


def _merge_bins(counts):
    """Merges neighboring bins, but leaves at least as many as Rice's rule suggests.

    With 64 bins, the histogram of a hundred values would be mostly noise.
    """
    enough = 2 * counts.sum() ** (1 / 3)
    while len(counts) % 2 == 0 and len(counts) / 2 >= enough:
        counts = counts.reshape(-1, 2).sum(1)
    return counts


def _without_tails(counts, limits):
    """Returns both ends of the distribution without its tails."""
    cumulative = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
    return np.interp([_TAIL, 1 - _TAIL], cumulative, limits)


def _lighten(color):
    """Returns the color mixed with white; opaque, so that ridges hide others."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [0.4 * channel + 0.6 for channel in channels]
