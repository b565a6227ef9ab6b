"""Seeds for the layers of a network."""

import numpy as np


def layer_seeds(seed, count):
    """Returns `count` independent seeds, or `count` times None for `seed=None`.

    A network hands seed i to its i-th linear layer, so that the same `seed` gives
    the same initial weights whatever normalization stands between the layers.
    """
    if seed is None:
        return [None] * count
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(count) >> 1]
