import doctest

import pytest

from keras_bnsmooth.layers import lp_normalization, noise, noisy_batch_normalization
from keras_bnsmooth.models import deep_linear_network, vgg_network


@pytest.mark.parametrize(
    ("module", "statements"),
    [
        (lp_normalization, 5),
        (noise, 6),
        (noisy_batch_normalization, 7),
        (deep_linear_network, 11),
        (vgg_network, 5),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_docstring_examples_run(module, statements):
    failed, attempted = doctest.testmod(module)
    assert (failed, attempted) == (0, statements)
