"""The statistics that decide the claims, each computed from the records of runs.

A diverged run stops recording at the step at which its loss is no longer finite. From
there on its weights are NaN, and every statistic counts the rows that it lost as such a
network performs: it predicts one class, so its accuracy is chance; its error, loss,
bands and beta are infinite; and no step along its gradient is predictive. Comparisons
at the same distance, covariate shift and distribution shift are undefined for NaN
weights and use the recorded rows alone.
"""

import numpy as np

from apps.settings import linear_layers
from keras_bnsmooth.plots.columns import batch_steps, successive_rows

# Accuracy of a constant prediction: all data sets here have ten balanced classes.
CHANCE = 0.1


def at_the_end(run, quantity):
    """Computes the mean of a metric over the last 5 % of training.

    A diverged run ends at chance or at infinity, however late it diverged.
    """
    if run.diverged:
        return CHANCE if "accuracy" in quantity else np.inf
    metrics = run.record("metrics")
    return float(np.nanmean(metrics[quantity][metrics["step"] > 0.95 * run.steps]))


def mean_accuracy(run):
    """Computes the training accuracy averaged over all of training."""
    values = run.record("metrics")["accuracy"]
    return float(np.nanmean(_complete(run, "metrics", values, CHANCE)))


def steps_to_accuracy(run, level):
    """Returns the step at which five rows first average at least `level`, or inf."""
    metrics = run.record("metrics")
    if len(metrics["step"]) < 5:
        return np.inf
    means = np.convolve(metrics["accuracy"], np.ones(5) / 5, mode="valid")
    reached = np.flatnonzero(means >= level)
    return float(metrics["step"][reached[0] + 4]) if reached.size else np.inf


def loss_band(run, record="landscape"):
    """Computes the width of the loss landscape, max - min of L(W - s d) over s, [T]."""
    losses = _nan_to_inf(run.record(record)["losses"])
    with np.errstate(invalid="ignore"):
        widths = _nan_to_inf(losses.max(1) - losses.min(1))
    return _complete(run, record, widths, np.inf)


def gradient_band(run, record="landscape"):
    """Computes the largest ||grad L(W - s d) - g|| over s, [T]."""
    distances = _nan_to_inf(run.record(record)["gradient_distances"])
    return _complete(run, record, distances.max(1), np.inf)


def beta(run, record="landscape"):
    """Returns the effective beta-smoothness, [T].

    A gradient distance that is not finite is never resolved, whatever the record says:
    beta is then the maximum over the other step sizes, and infinite if there are none.
    NaN where all that is finite may be rounding.
    """
    landscape = run.record(record)
    finite = np.isfinite(landscape["gradient_distances"])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = landscape["gradient_distances"] / (
            landscape["step_sizes"] * landscape["gradient_norm"][:, None]
        )
    resolved = _resolved(landscape)
    largest = ratios.max(1, where=resolved, initial=0)
    largest[~resolved.any(1)] = np.nan
    largest[~finite.any(1)] = np.inf
    values = np.where(finite.all(1), landscape["beta"], largest)
    return _complete(run, record, values, np.inf)


MEASURES = {
    "loss band": loss_band,
    "gradient band": gradient_band,
    "effective beta": beta,
}


def median_ratio(a, b):
    """Computes the median of `a` over the median of `b`, ignoring NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.nanmedian(a) / np.nanmedian(b))


def predictive_share(run):
    """Computes the share of (probe, s) with ||grad L(W - s g) - g|| <= ||g||."""
    landscape = run.record("landscape")
    distances = landscape["gradient_distances"]
    predictive = distances <= landscape["gradient_norm"][:, None]
    predictive &= np.isfinite(distances)
    return float(np.mean(_complete(run, "landscape", predictive.mean(1), 0.0)))


def error_ratio_at_same_distance(a, b):
    """Computes the gradient distance of run `a` over that of `b`, at equal distance.

    The distance is s ||g||. At each probe, log-log interpolation evaluates both curves
    at the geometric middle of the distances that both runs travelled.

    Returns:
        The median over all probes whose distances overlap; NaN if there are none.
    """
    curves = [_curves(run) for run in (a, b)]
    ratios = []
    for step in curves[0].keys() & curves[1].keys():
        (x, y), (u, v) = curves[0][step], curves[1][step]
        if min(len(x), len(u)) < 2:
            continue
        low, high = max(x[0], u[0]), min(x[-1], u[-1])
        if low <= high:
            middle = (low + high) / 2
            ratios.append(np.interp(middle, x, y) - np.interp(middle, u, v))
    return float(np.exp(np.median(ratios))) if ratios else np.nan


def _curves(run):
    """{step: (log distance travelled, log gradient distance)}, resolved points only."""
    landscape = run.record("landscape")
    distances = landscape["gradient_distances"]
    travelled = landscape["step_sizes"] * landscape["gradient_norm"][:, None]
    good = _resolved(landscape) & (distances > 0) & (travelled > 0)
    return {
        int(step): (np.log(x[shown]), np.log(y[shown]))
        for step, x, y, shown in zip(
            landscape["step"], travelled, distances, good, strict=True
        )
    }


def covariate_shift(runs, quantity):
    """Returns the ICS of the layers that all runs share, without the first.

    Nothing precedes the first layer, so it has no covariate shift.

    Args:
        runs: Dict from norm to `Run`.
        quantity: `"l2"` or `"cosine"`.

    Returns:
        Dict from norm to an array [T, L].
    """
    records = {norm: run.record("ics") for norm, run in runs.items()}
    names = {norm: record["layers"][0].tolist() for norm, record in records.items()}
    layers = [linear_layers(names[norm], norm) for norm in runs]
    common = [name for name in layers[0] if all(name in other for other in layers)][1:]
    return {
        norm: record[quantity][:, [names[norm].index(name) for name in common]]
        for norm, record in records.items()
    }


def distribution_shift(run, successive):
    """Computes how far the distributions of layer inputs move between measurements.

    Layer inputs are the outputs of the linear layers except the last, before any
    normalization: what a normalization fixes by construction, the mean and variance of
    its own output, is no evidence of stability. The shift of the mean is in units of
    the earlier standard deviation, that of the variance in units of the earlier
    variance.

    Args:
        run: A `Run`.
        successive: Whether the two measurements are one step apart and on the same
            batch, rather than one interval of the schedule apart.

    Returns:
        (shift of the mean, shift of the variance): medians over layers and time.
    """
    record = run.record("activations")
    names = record["layers"][0].tolist()
    inputs = linear_layers(names, run.norm)[:-1]
    columns = [names.index(name) for name in inputs]
    mean, variance = (record[name][:, columns] for name in ("mean", "variance"))
    if successive:
        first = successive_rows(record)
        second = first + 1
    else:
        scheduled = np.flatnonzero(batch_steps(record) == record["step"])
        first, second = scheduled[:-1], scheduled[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        of_mean = np.abs(mean[second] - mean[first]) / np.sqrt(variance[first])
        of_variance = np.abs(variance[second] - variance[first]) / variance[first]
    # A unit that is constant over the samples has no scale to measure shifts by.
    counted = variance[first] > 0
    if not counted.any():
        return np.nan, np.nan
    return float(np.median(of_mean[counted])), float(np.median(of_variance[counted]))


def _complete(run, record, values, lost):
    """Appends `lost` for each row that a diverged run did not record."""
    return np.append(values, np.full(run.rows_lost(record), lost))


def _resolved(landscape):
    return landscape["resolved"] & np.isfinite(landscape["gradient_distances"])


def _nan_to_inf(values):
    """Replaces NaN, the result of an overflow, by infinity."""
    return np.where(np.isnan(values), np.inf, values)
