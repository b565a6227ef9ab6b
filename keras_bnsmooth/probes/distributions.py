"""A distribution in few numbers."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Moments and histogram of a sample.

    Attributes:
        mean: Of all values; NaN or infinite if a value is.
        variance: Mean squared distance from the mean, likewise.
        minimum: Smallest finite value, NaN if there is none. Where all values are the
            same up to rounding, it lies at least 1/2 under them.
        maximum: Largest finite value, likewise.
        counts: Finite values in bins of equal width from minimum to maximum,
            int [bins].
    """

    mean: float
    variance: float
    minimum: float
    maximum: float
    counts: np.ndarray


def distribution(values, bins):
    """Returns the `Distribution` of an array, computed in float64.

    Args:
        values: Array of any shape.
        bins: Positive number of bins.
    """
    values = np.asarray(values, np.float64).ravel()
    finite = values[np.isfinite(values)]
    with np.errstate(invalid="ignore", over="ignore"):
        mean, variance = values.mean(), values.var()
    if not finite.size:
        nan = float("nan")
        return Distribution(mean, variance, nan, nan, np.zeros(bins, int))
    low, high = finite.min(), finite.max()
    if np.any(np.diff(edges(low, high, bins)) <= 0):
        # All the same up to rounding: wide enough for bins, as `numpy.histogram` is.
        half = max(0.5, bins * np.spacing(max(-low, high)))
        low, high = low - half, high + half
    counts, _ = np.histogram(finite, bins, (low, high))
    return Distribution(float(mean), float(variance), float(low), float(high), counts)


def edges(minimum, maximum, bins):
    """Returns the edges of the bins of a `Distribution`, float64 [bins + 1]."""
    return np.linspace(minimum, maximum, bins + 1)
