"""The statistics that decide the claims, each computed from the records of runs.

A diverged run stops recording at the step at which its loss is no longer finite. From
there on its weights are NaN, and every statistic counts the rows that it lost as such a
network performs: it predicts one class, so its accuracy is chance; its error, loss,
bands and beta are infinite; and no step along its gradient is predictive. Comparisons
at the same distance, covariate shift, distribution shift and curvature are undefined
for NaN weights and use the recorded rows alone.

What may be rounding is NaN. A median with more than half of its values NaN is NaN.
"""

import math

import numpy as np

from apps.settings import linear_layers
from keras_bnsmooth.plots.columns import batch_steps, successive_rows

# Accuracy of a constant prediction: all data sets here have ten balanced classes.
CHANCE = 0.1
# A network has left chance level once five rows average this much above it.
_LEFT_CHANCE = 0.05


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


def loss_band(run, record="landscape", step_sizes="paper", with_start=False):
    """Computes the width of the loss landscape, max - min of L(W - s d) over s, [T].

    Args:
        run: A `Run`.
        record: Name of the record.
        step_sizes: As in `Run.record`.
        with_start: Whether the band includes L(W).
    """
    landscape = run.record(record, step_sizes)
    losses = _nan_to_inf(landscape["losses"])
    start = _nan_to_inf(landscape["loss"]) if with_start else losses[:, 0]
    with np.errstate(invalid="ignore"):
        highest = np.maximum(losses.max(1), start)
        widths = _nan_to_inf(highest - np.minimum(losses.min(1), start))
    # Records of older versions do not say what is resolved.
    resolved = landscape.get("losses_resolved", np.full(losses.shape, True))
    widths[~(resolved | np.isinf(losses)).any(1)] = np.nan
    return _complete(run, record, widths, np.inf)


def relative_loss_band(run, record="landscape"):
    """Computes the width of the loss landscape over the loss L(W), [T]."""
    loss = _complete(run, record, run.record(record)["loss"], 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return loss_band(run, record) / np.abs(loss)


def gradient_band(run, record="landscape", step_sizes="paper"):
    """Computes the largest ||grad L(W - s d) - g|| over s, [T]."""
    landscape = run.record(record, step_sizes)
    distances = _nan_to_inf(landscape["gradient_distances"])
    # A gradient that overflowed is never resolved, but its distance is not small.
    shown = landscape["resolved"] | np.isinf(distances)
    largest = distances.max(1, where=shown, initial=0)
    largest[~shown.any(1)] = np.nan
    return _complete(run, record, largest, np.inf)


def beta(run, record="landscape"):
    """Returns the effective beta-smoothness up to the paper's largest step size, [T].

    NaN where nothing is resolved; infinite where no gradient is finite; and, since beta
    is no more than a lower bound there, NaN where it is saturated, that is, where the
    gradient has changed by its own length at the smallest step size.
    """
    landscape = run.record(record, "up to paper")
    distances, resolved = landscape["gradient_distances"], _resolved(landscape)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = distances / (
            landscape["step_sizes"] * landscape["gradient_norm"][:, None]
        )
    largest = ratios.max(1, where=resolved, initial=0)
    largest[~resolved.any(1) | landscape["saturated"]] = np.nan
    largest[~np.isfinite(distances).any(1)] = np.inf
    return _complete(run, record, largest, np.inf)


def beta_over_range(run, record="landscape"):
    """Computes the largest change of the gradient over the largest distance, [T]."""
    landscape = run.record(record)
    longest = landscape["step_sizes"].max(1) * landscape["gradient_norm"]
    lost = run.rows_lost(record)
    with np.errstate(invalid="ignore", divide="ignore"):
        return gradient_band(run, record) / np.append(longest, np.ones(lost))


def gradient_norm(run, record="landscape"):
    """Returns ||g||, [T]."""
    return _complete(run, record, run.record(record)["gradient_norm"], np.inf)


def sharpness(run):
    """Returns the largest eigenvalue of the Hessian, [T]."""
    return run.record("sharpness")["sharpness"]


def early(run, values, record="landscape"):
    """Returns the rows of the first tenth of training after leaving chance level.

    A network without an accuracy has no chance level. One that never leaves it has no
    such rows.

    Args:
        run: A `Run`.
        values: One value per row, including those that a diverged run lost.
        record: Name of the record.
    """
    start = 0.0
    if "accuracy" in run.record("metrics"):
        start = steps_to_accuracy(run, CHANCE + _LEFT_CHANCE)
    steps = run.scheduled_steps(record)[: len(values)]
    return values[(steps >= start) & (steps <= start + run.steps / 10)]


def median(values):
    """Computes the median, ignoring NaN; NaN if more than half of the values are."""
    if not len(values) or np.isnan(values).mean() > 0.5:
        return np.nan
    return float(np.nanmedian(values))


def median_ratio(a, b):
    """Computes the median of `a` over the median of `b`, see `median`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.divide(median(a), median(b)))


def ratio_to(norm, function):
    """Returns a measure: the median of the standard network's values over a norm's.

    Args:
        norm: Normalization.
        function: Function from a `Run` to an array [T].
    """
    return lambda runs: median_ratio(function(runs["none"]), function(runs[norm]))


def points_at_the_end(quantity):
    """Returns a measure: BN minus the standard network at the end, in points."""
    return lambda runs: (
        100 * (at_the_end(runs["bn"], quantity) - at_the_end(runs["none"], quantity))
    )


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
        The median over all probes whose distances overlap; NaN if fewer than a tenth
        of the probes do.
    """
    curves = [_curves(run) for run in (a, b)]
    common = curves[0].keys() & curves[1].keys()
    ratios = []
    for step in common:
        (x, y), (u, v) = curves[0][step], curves[1][step]
        if min(len(x), len(u)) < 2:
            continue
        low, high = max(x[0], u[0]), min(x[-1], u[-1])
        if low <= high:
            middle = (low + high) / 2
            ratios.append(np.interp(middle, x, y) - np.interp(middle, u, v))
    enough = len(ratios) > len(common) / 10
    return float(np.exp(np.median(ratios))) if enough else np.nan


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


def covariate_shift(runs, quantity, record="ics"):
    """Returns the ICS of the layers that all runs share, without the first.

    Nothing precedes the first layer, so it has no covariate shift.

    Args:
        runs: Dict from norm to `Run`.
        quantity: `"l2"` or `"cosine"`.
        record: `"ics"` or `"ics_joined"`.

    Returns:
        Dict from norm to an array [T, L].
    """
    records = {norm: run.record(record) for norm, run in runs.items()}
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
        Dict with the shifts of `"mean"` and `"variance"`: medians over layers and time.
    """
    record = run.record("activations")
    columns = _layer_inputs(run, record)
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
    return {
        "mean": median(of_mean[counted]),
        "variance": median(of_variance[counted]),
    }


def distance_from_gaussian(run):
    """Computes how far the distributions of layer inputs are from Gaussian.

    This is the statistic of the Kolmogorov-Smirnov test, the largest difference of the
    two cumulative distributions, with the mean and variance of the sample. Normalizing
    a unit does not change it. Median over layers and time.
    """
    record = run.record("activations")
    distances = [
        _distance_from_gaussian(
            *(record[name][row, column] for name in ("minimum", "maximum")),
            record["counts"][row, column],
            record["mean"][row, column],
            record["variance"][row, column],
        )
        for row in range(len(record["step"]))
        for column in _layer_inputs(run, record)
    ]
    return median(np.array(distances))


def _distance_from_gaussian(minimum, maximum, counts, mean, variance):
    if not (variance > 0 and np.isfinite(variance) and counts.sum() > 0):
        return np.nan  # a constant unit
    upper = np.linspace(minimum, maximum, len(counts) + 1)[1:]
    z = (upper - mean) / math.sqrt(2 * variance)
    gaussian = np.array([(1 + math.erf(value)) / 2 for value in z])
    return np.abs(np.cumsum(counts) / counts.sum() - gaussian).max()


def scale_factors(run):
    """Returns gamma^2 / sigma_j^2 of theorem 4.1 for a unit per normalization, [T, L].

    sigma_j^2 is the variance of the unit over the batch before the normalization, and
    gamma^2 is its variance after it, but for the normalization's epsilon.
    """
    record = run.record("activations")
    names = record["layers"][0].tolist()
    variance = record["variance"]
    with np.errstate(invalid="ignore", divide="ignore"):
        factors = [
            variance[:, after] / variance[:, names.index(name)]
            for name in linear_layers(names, run.norm)
            if (after := _following(names, name)) is not None
        ]
    return np.column_stack(factors)


def _following(names, name):
    """The column of the normalization after a linear layer, or None."""
    after = names.index(name) + 1
    is_its = after < len(names) and names[after].startswith(f"{name}_")
    return after if is_its else None


def _layer_inputs(run, record):
    names = record["layers"][0].tolist()
    return [names.index(name) for name in linear_layers(names, run.norm)[:-1]]


def _complete(run, record, values, lost):
    """Appends `lost` for each row that a diverged run did not record."""
    return np.append(values, np.full(run.rows_lost(record), lost))


def _resolved(landscape):
    return landscape["resolved"] & np.isfinite(landscape["gradient_distances"])


def _nan_to_inf(values):
    """Replaces NaN, the result of an overflow, by infinity."""
    return np.where(np.isnan(values), np.inf, values)
