"""Summary of a distribution: moments and a histogram."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Moments and histogram of a sample.

    Attributes:
        mean: Mean of all values; NaN or infinite if a value is.
        variance: Mean squared distance from the mean; NaN if a value is not finite.
        minimum: Smallest finite value, NaN if there is none. If all values are equal
            up to rounding, at least 1/2 below them.
        maximum: Largest finite value, or correspondingly above.
        counts: Finite values per bin, in bins of equal width from minimum to maximum,
            int [bins].
    """

    mean: float
    variance: float
    minimum: float
    maximum: float
    counts: np.ndarray


def distribution(values: np.ndarray, bins: int) -> Distribution:
    """Returns the `Distribution` of an array of any shape, computed in float64."""
    values = np.asarray(values, np.float64).ravel()
    finite = values[np.isfinite(values)]
    with np.errstate(invalid="ignore", over="ignore"):
        mean, variance = float(values.mean()), float(values.var())
    if not finite.size:
        nan = float("nan")
        return Distribution(mean, variance, nan, nan, np.zeros(bins, int))
    low, high = float(finite.min()), float(finite.max())
    if np.any(np.diff(edges(low, high, bins)) <= 0):
        # All equal up to rounding: widen the range, as `numpy.histogram` does.
        half = max(0.5, bins * float(np.spacing(max(-low, high))))
        low, high = low - half, high + half
    counts, _ = np.histogram(finite, bins, (low, high))
    return Distribution(mean, variance, low, high, counts)


def edges(minimum: float, maximum: float, bins: int) -> np.ndarray:
    """Returns the edges of the bins of a `Distribution`, float64 [bins + 1]."""
    return np.linspace(minimum, maximum, bins + 1)
