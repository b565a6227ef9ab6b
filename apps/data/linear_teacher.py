"""The regression problem of the deep linear network (appendix A.1 of the paper)."""

import numpy as np


def linear_teacher(samples=1000, dim=10, seed=0, dtype="float32"):
    """Returns inputs x ~ N(0, I) and targets A x with A_ij ~ N(0, 1).

    Args:
        samples: Number of samples n.
        dim: Number of inputs and of outputs d.
        seed: Non-negative integer; decides x and A.
        dtype: Of the returned arrays; the numbers are drawn in float64.

    Returns:
        x [n, d] and y [n, d].
    """
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((dim, dim))
    x = rng.standard_normal((samples, dim))
    return x.astype(dtype), (x @ matrix.T).astype(dtype)
