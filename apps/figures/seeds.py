"""One quantity over the steps of several runs that differ in their seeds."""

import warnings

import numpy as np


def over_seeds(records, quantity):
    """Puts a quantity of several records on common steps.

    Args:
        records: List of records, dicts of columns.
        quantity: Name of a column [rows, ...].

    Returns:
        Steps [T], and values [seeds, T, ...]; NaN where a seed has no finite value.
    """
    steps = np.unique(np.concatenate([record["step"] for record in records]))
    rest = records[0][quantity].shape[1:]
    values = np.full((len(records), len(steps), *rest), np.nan)
    for of_seed, record in zip(values, records, strict=True):
        of_seed[np.searchsorted(steps, record["step"])] = record[quantity]
    values[~np.isfinite(values)] = np.nan
    return steps, values


def measured(record, quantity):
    """Returns the rows of a record that have the quantity, as columns.

    For what is measured at some rows only, such as the test accuracy.
    """
    values = record.get(quantity, np.full(len(record["step"]), np.nan))
    rows = np.isfinite(values)
    return {"step": record["step"][rows], quantity: values[rows]}


def summarize(values, axis=0):
    """Returns (median, minimum, maximum) along an axis, of what is no NaN."""
    with warnings.catch_warnings():
        # Where all are NaN, so is the result.
        warnings.simplefilter("ignore", RuntimeWarning)
        return (
            np.nanmedian(values, axis),
            np.nanmin(values, axis),
            np.nanmax(values, axis),
        )
