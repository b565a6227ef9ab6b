"""Ridge plots: how the distribution of an activation changes over training."""

import numpy as np

# How far a ridge reaches above its base, in distances between bases.
_HEIGHT = 1.7
# Part of a distribution, at either end, that may lie outside the axes.
_TAIL = 0.002


def draw_ridges(axes, record, style, count=10):
    """Draws one distribution a training step, from the first step at the bottom.

    All have the same height, since their widths already say how peaked they are.

    Args:
        axes: Where to draw.
        record: Of one layer: `step` [rows], `minimum` and `maximum` [rows], `counts`
            [rows, bins].
        style: A `Style`.
        count: Distributions to show at most, at equal distances among those recorded.
    """
    rows = _choose(record["step"], count)
    ends = []
    # From the top, so that later ridges do not hide the feet of earlier ones.
    for base, row in reversed(list(enumerate(rows))):
        counts = _merged(record["counts"][row])
        low, high = record["minimum"][row], record["maximum"][row]
        if not (counts.any() and np.isfinite([low, high]).all()):
            continue
        limits = np.linspace(low, high, len(counts) + 1)
        ends.append(_central(counts, limits))
        axes.fill_between(
            [low, *(limits[:-1] + limits[1:]) / 2, high],
            base,
            base + _HEIGHT * np.array([0, *counts, 0]) / counts.max(),
            facecolor=_lighter(style.color),
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
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)


def _choose(steps, count):
    """Indices of at most `count` rows, without the second ones of successive steps."""
    scheduled = np.flatnonzero(np.diff(steps, prepend=-2) != 1)
    return scheduled[:: -(-len(scheduled) // count)]


def _merged(counts):
    """Merges neighbouring bins, down to no fewer than Rice's rule asks for.

    In 64 bins, the histogram of a hundred values would be mostly noise.
    """
    enough = 2 * counts.sum() ** (1 / 3)
    while len(counts) % 2 == 0 and len(counts) / 2 >= enough:
        counts = counts.reshape(-1, 2).sum(1)
    return counts


def _central(counts, limits):
    """Ends of the distribution without its tails."""
    cumulated = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
    return np.interp([_TAIL, 1 - _TAIL], cumulated, limits)


def _lighter(color):
    """Returns the colour mixed with white; opaque, so that ridges hide others."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [0.4 * channel + 0.6 for channel in channels]
