"""Random problems for the tests, and derivatives by differences."""

import numpy as np

from apps.theory.instances import (
    BATCH_SIZES,
    LOSSES,
    batch_size_and_loss,
    draw_groups,
)

GROUPS = len(BATCH_SIZES) * len(LOSSES)


def small_seeds(each, first_seed):
    """Seeds of all losses at the batch sizes 4 and 8, so many of each."""
    seeds = range(first_seed, first_seed + GROUPS * each)
    return [seed for seed in seeds if batch_size_and_loss(seed)[0] in (4, 8)]


def small_groups(each=20, first_seed=20_000):
    """The problems of `small_seeds`."""
    return list(draw_groups(small_seeds(each, first_seed)))


def numerical_gradient(f, y, step):
    """Central differences of the scalar function f of a vector."""
    return np.array(
        [
            (f(y + step * unit) - f(y - step * unit)) / (2 * step)
            for unit in np.eye(len(y))
        ]
    )


def row_of(f):
    """The scalar function of a vector that f, of one row, stands for."""
    return lambda vector: float(np.asarray(f(vector[None]))[0])
