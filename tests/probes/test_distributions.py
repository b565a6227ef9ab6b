import itertools

import numpy as np
import pytest

from keras_bnsmooth.probes.distributions import distribution, edges


def test_the_histogram_counts_what_lies_between_its_edges():
    values = np.random.default_rng(0).normal(size=1000)
    d = distribution(values, 7)
    bounds = edges(d.minimum, d.maximum, 7)
    naive = [
        sum(low <= v < high or v == high == d.maximum for v in values)
        for low, high in itertools.pairwise(bounds)
    ]
    assert d.counts.tolist() == naive
    np.testing.assert_allclose([d.mean, d.variance], [values.mean(), values.var()])


@pytest.mark.parametrize(
    "values",
    [[3.0, 3.0], [1.0, np.nextafter(1.0, 2.0)], [1e20, 1e20], [-1e20, -1e20]],
    ids=["equal", "one rounding unit apart", "large", "large and negative"],
)
def test_values_that_are_the_same_up_to_rounding_have_a_histogram(values):
    d = distribution(values, 64)
    assert d.counts.sum() == 2
    assert d.minimum < min(values) and max(values) < d.maximum


def test_infinite_values_are_left_out_of_the_histogram():
    d = distribution([np.nan, np.inf, 1.0, 2.0], 2)
    assert (d.minimum, d.maximum, d.counts.tolist()) == (1.0, 2.0, [1, 1])
    assert not np.isfinite(d.mean)
    d = distribution([np.nan], 2)
    assert np.isnan(d.minimum) and d.counts.tolist() == [0, 0]
