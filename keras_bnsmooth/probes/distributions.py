"""A distribution in few numbers."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Moments and histogram of a sample.

    Attributes:
        mean: Of all values; NaN or infinite if a value is.
        variance: Mean squared distance from the mean, likewise.
        minimum: Smallest finite value, NaN if there is none.
        maximum: Largest finite value, NaN if there is none.
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
    counts, edges = np.histogram(finite, bins)
    low, high = finite.min(), finite.max()
    if low == high:
        # `numpy.histogram` widens an empty range by one half on either side.
        low, high = edges[0], edges[-1]
    return Distribution(float(mean), float(variance), float(low), float(high), counts)


def edges(minimum, maximum, bins):
    """Returns the edges of the bins of a `Distribution`, float64 [bins + 1]."""
    return np.linspace(minimum, maximum, bins + 1)
