"""What claims are decided by: numbers of one run, from its records alone."""

import numpy as np


def at_the_end(run, quantity):
    """Mean of a quantity of the metrics over the last 5 % of training.

    Where the run diverged, an error is infinite and an accuracy zero.
    """
    if run.diverged:
        return 0.0 if "accuracy" in quantity else np.inf
    metrics = run.record("metrics")
    values = metrics[quantity][metrics["step"] > 0.95 * run.steps]
    return float(np.nanmean(values))


def over_training(run, quantity):
    """Mean of a quantity of the metrics over all of training."""
    return float(np.nanmean(run.record("metrics")[quantity]))


def steps_to_reach(run, quantity, level):
    """First step at which the mean of five rows is at least `level`, or infinity."""
    metrics = run.record("metrics")
    values = metrics[quantity]
    if len(values) < 5:
        return np.inf
    means = np.convolve(values, np.ones(5) / 5, mode="valid")
    reached = np.flatnonzero(means >= level)
    return float(metrics["step"][reached[0] + 4]) if reached.size else np.inf


def loss_band(run, record="landscape"):
    """Width of the loss landscape, max - min of L(W - s d) over s, [T]."""
    losses = _finite_or_infinite(run.record(record)["losses"])
    with np.errstate(invalid="ignore"):
        return _finite_or_infinite(losses.max(1) - losses.min(1))


def gradient_band(run, record="landscape"):
    """Largest ||grad L(W - s d) - g|| over s, [T]."""
    return _finite_or_infinite(run.record(record)["gradient_distances"]).max(1)


def beta(run, record="landscape"):
    """Effective beta-smoothness, [T]; NaN where rounding hides it."""
    return run.record(record)["beta"]


MEASURES = {
    "loss band": loss_band,
    "gradient band": gradient_band,
    "effective beta": beta,
}


def median_ratio(a, b):
    """Median of `a` over the median of `b`, NaNs left out."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.nanmedian(a) / np.nanmedian(b))


def predictive_share(run):
    """Share of (probe, step size) with ||grad L(W - s g) - g|| <= ||g||."""
    landscape = run.record("landscape")
    distances = _finite_or_infinite(landscape["gradient_distances"])
    return float(np.mean(distances <= landscape["gradient_norm"][:, None]))


def error_ratio_at_same_distance(a, b):
    """Gradient distance of run `a` over that of `b` at the same distance travelled.

    The distance is s ||g||. At each probe both curves are read, by linear
    interpolation in log-log, at the middle (geometrically) of the distances that both
    have travelled; the median over the probes where there are any is returned.
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
    """{step: (log distance travelled, log gradient distance)}, finite points alone."""
    landscape = run.record("landscape")
    curves = {}
    for step, sizes, norm, distances, resolved in zip(
        landscape["step"],
        landscape["step_sizes"],
        landscape["gradient_norm"],
        landscape["gradient_distances"],
        landscape["resolved"],
        strict=True,
    ):
        good = resolved & np.isfinite(distances) & (distances > 0) & (norm > 0)
        travelled = sizes * norm
        curves[int(step)] = np.log(travelled[good]), np.log(distances[good])
    return curves


def _shared_layers(record, norms):
    """Positions of the layers without normalization ones, by name."""
    names = [str(name) for name in record["layers"][0]]
    return {
        name: position
        for position, name in enumerate(names)
        if not name.endswith(tuple(f"_{norm}" for norm in norms))
    }


def covariate_shift(runs, quantity):
    """ICS of runs at the layers that all of them have, but the first (it has none).

    Args:
        runs: Dict norm -> run.
        quantity: `"l2"` or `"cosine"`.

    Returns:
        Dict norm -> array [T, L].
    """
    records = {norm: run.record("ics") for norm, run in runs.items()}
    layers = {norm: _shared_layers(record, runs) for norm, record in records.items()}
    common = [
        name
        for name in next(iter(layers.values()))
        if all(name in of_norm for of_norm in layers.values())
    ][1:]
    return {
        norm: records[norm][quantity][:, [layers[norm][name] for name in common]]
        for norm in runs
    }


def distribution_shift(run, successive):
    """How much the distributions of layer inputs move between two measurements.

    Layer inputs are the outputs of the normalization layers, or those of the linear
    maps where there are none; the last layer is left out. The shift of the mean is
    counted in standard deviations, that of the variance in variances, both those
    before.

    Args:
        run: A `Run`.
        successive: Whether the two measurements are one step apart, or as far as the
            schedule has it.

    Returns:
        (shift of the mean, shift of the variance): medians over layers and time.
    """
    record = run.record("activations")
    names = [str(name) for name in record["layers"][0]]
    suffix = f"_{run.norm}"
    inputs = [i for i, name in enumerate(names) if name.endswith(suffix)]
    inputs = inputs or list(range(len(names) - 1))
    step, mean, variance = (
        record["step"],
        record["mean"][:, inputs],
        record["variance"][:, inputs],
    )
    if successive:
        first = np.flatnonzero(np.diff(step) == 1)
        second = first + 1
    else:
        scheduled = np.flatnonzero(np.diff(step, prepend=-2) != 1)
        first, second = scheduled[:-1], scheduled[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        of_mean = np.abs(mean[second] - mean[first]) / np.sqrt(variance[first])
        of_variance = np.abs(variance[second] - variance[first]) / variance[first]
    # A unit that is the same for all samples has no scale to count in.
    counted = variance[first] > 0
    if not counted.any():
        return np.nan, np.nan
    return float(np.median(of_mean[counted])), float(np.median(of_variance[counted]))


def _finite_or_infinite(values):
    """NaN, which comes from a loss that overflowed, as infinity."""
    values = np.asarray(values, np.float64)
    return np.where(np.isnan(values), np.inf, values)
