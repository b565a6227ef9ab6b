"""Probe records as columns: common steps, unresolved distances, single layers.

A record is a dict from the name of a quantity to an array [rows, ...], as in a probe's
`history` or from `json_lines.read_columns`.
"""

import warnings

import numpy as np


def align_seeds(records, quantity):
    """Aligns one quantity of several records on the union of their steps.

    Args:
        records: List of records, one per seed.
        quantity: Name of a column [rows, ...].

    Returns:
        Steps [T], and values [seeds, T, ...] with NaN where a seed has no finite value.
    """
    steps = np.unique(np.concatenate([record["step"] for record in records]))
    values = np.full(
        (len(records), len(steps), *records[0][quantity].shape[1:]), np.nan
    )
    for of_seed, record in zip(values, records, strict=True):
        of_seed[np.searchsorted(steps, record["step"])] = record[quantity]
    values[~np.isfinite(values)] = np.nan
    return steps, values


def summarize(values, axis=0):
    """Returns (median, minimum, maximum) along an axis, ignoring NaN."""
    with warnings.catch_warnings():
        # All-NaN slices give NaN, as they should.
        warnings.simplefilter("ignore", RuntimeWarning)
        return (
            np.nanmedian(values, axis),
            np.nanmin(values, axis),
            np.nanmax(values, axis),
        )


def drop_missing(record, quantity):
    """Returns `step` and one quantity [rows], without the rows that lack the latter.

    Some quantities, such as the test accuracy, are recorded at a few steps only.
    """
    values = record.get(quantity, np.full(len(record["step"]), np.nan))
    rows = np.isfinite(values)
    return {"step": record["step"][rows], quantity: values[rows]}


def mask_unresolved(record):
    """Returns a landscape record with NaN for gradient distances within rounding."""
    distances = np.where(record["resolved"], record["gradient_distances"], np.nan)
    return record | {"gradient_distances": distances}


def with_ceiling(record):
    """Returns a landscape record with `saturated` and `ceiling` [rows].

    The ceiling is ||g|| / (s ||d||) for the smallest resolved step size s, 1 / s along
    the gradient: where a record is saturated, beta is about that. Records of older
    versions lack the former, and ||d||, which then is ||g||.
    """
    sizes = np.where(record["resolved"], record["step_sizes"], np.inf)
    rows, smallest = np.arange(len(sizes)), sizes.argmin(1)
    distances = record["gradient_distances"][rows, smallest]
    known = np.isfinite(sizes[rows, smallest]) & (sizes[rows, smallest] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = record["gradient_norm"] / record.get("direction_norm", np.nan)
        ratio = np.where(np.isnan(ratio), 1, ratio)
        return record | {
            "saturated": known & (distances >= 0.9 * record["gradient_norm"]),
            "ceiling": np.where(known, ratio / sizes[rows, smallest], np.nan),
        }


def restrict_step_sizes(record, lowest, highest):
    """Returns a landscape record of the step sizes within a range.

    Quantities of all step sizes together, such as beta, stay as they are.

    Args:
        record: Record with `learning_rate` [rows] and `step_sizes` [rows, K].
        lowest: End of the range, in learning rates.
        highest: End of the range, in learning rates.
    """
    record = with_ceiling(record)
    multiples = record["step_sizes"][0] / record["learning_rate"][0]
    # Learning rates are rounded to single precision.
    within = (multiples > lowest * (1 - 1e-6)) & (multiples < highest * (1 + 1e-6))
    return {
        name: values[:, within] if values.ndim == 2 else values
        for name, values in record.items()
    }


def batch_steps(record):
    """Returns the step whose batch each row of an activation record was measured on.

    Records of older versions do not say it; there, a row that follows another by one
    step counts as measured on the same batch.
    """
    step = record["step"]
    return record.get("batch_step", step - (np.diff(step, prepend=step[:1]) == 1))


def successive_rows(record):
    """Returns the rows that precede one of the next step and the same batch."""
    steps, batches = np.diff(record["step"]), np.diff(batch_steps(record))
    return np.flatnonzero((steps == 1) & (batches == 0))


def layer_names(record):
    """Returns the names of the recorded layers, from input to output."""
    return [str(name) for name in record["layers"][0]]


def select_layer(record, layer):
    """Returns the record of one layer: `step`, and columns without the layer axis."""
    index = layer_names(record).index(layer)
    return {
        name: values if values.ndim == 1 else values[:, index]
        for name, values in record.items()
    }


def evenly_spaced(layers, count):
    """Returns up to `count` layers evenly spaced in depth, as (number from 1, name).

    Two layers are those at one third and at two thirds of the depth.
    """
    numbers = [round(len(layers) * i / (count + 1)) for i in range(1, count + 1)]
    return [(number, layers[number - 1]) for number in dict.fromkeys(numbers) if number]
