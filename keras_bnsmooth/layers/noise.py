"""The noise of Algorithm 1 of Santurkar et al. (2018)."""

import math

from keras import ops, random

from keras_bnsmooth.layers.channels import spread
from keras_bnsmooth.layers.checks import check_real

_LEVELS = 2.0**16  # distinct values of a 16-bit integer


def check_noise(n_mu, n_sigma, r_mu, r_sigma):
    """Returns the four constants as floats.

    Raises:
        ValueError: One of them is negative, NaN, infinite or not a number, or
            `n_sigma` is below 1.
    """
    return (
        check_real("n_mu", n_mu, low=0),
        check_real("n_sigma", n_sigma, low=1),
        check_real("r_mu", r_mu, low=0),
        check_real("r_sigma", r_sigma, low=0),
    )


def add_noise(a, axis, *, n_mu, n_sigma, r_mu, r_sigma, seed):
    """Perturbs the activations `a` as Algorithm 1 does: `s * a + m`.

    For each channel j: `mu_j ~ U(-n_mu, n_mu)` and `sigma_j ~ U(1, n_sigma)`;
    for each element of it: `m ~ U(mu_j - r_mu, mu_j + r_mu)` and
    `s ~ N(sigma_j, r_sigma)`, with `r_sigma` the standard deviation. All draws are
    independent and none depends on `a`: the gradient with respect to `a` is `s`.

    Args:
        a: Float tensor of rank 2 or more, in single or double precision.
        axis: Channel axis of `a`, counted from the front.
        n_mu: Half the width of the distribution of the channel means.
        n_sigma: Largest channel scale.
        r_mu: Half the width of the distribution of the shifts of one channel.
        r_sigma: Standard deviation of the scales of one channel.
        seed: A `keras.random.SeedGenerator`.

    Returns:
        Tensor of the shape and dtype of `a`.
    """
    channels = ops.shape(a)[axis]
    unit = ops.cast(random.uniform((2, channels), dtype="float32", seed=seed), a.dtype)
    mu = (2 * unit[0] - 1) * n_mu
    sigma = 1 + unit[1] * (n_sigma - 1)
    normal, uniform = normal_and_uniform(ops.shape(a), a.dtype, r_sigma, r_mu, seed)
    scale = normal + spread(sigma, a, axis)
    return scale * a + uniform + spread(mu, a, axis)


def normal_and_uniform(shape, dtype, stddev, half_width, seed):
    """Draws `N(0, stddev)` and `U(-half_width, half_width)` for every element.

    Drawing them one after the other costs three times this: here one random 32-bit
    word an element gives two 16-bit integers. The first makes the uniform number; two
    elements share their second ones for the two independent normal numbers of the
    Box-Muller transform. The uniform number so has 65,536 levels, and the normal one
    ends at 4.85 standard deviations (it would pass them once in 800,000 draws).

    Args:
        shape: Shape of the tensors to draw; its sizes may be known at run time only.
        dtype: Their dtype.
        stddev: Standard deviation of the normal numbers.
        half_width: Bound of the uniform numbers.
        seed: A `keras.random.SeedGenerator`.

    Returns:
        Tuple `(normal, uniform)` of two tensors.
    """
    size = 1
    for length in shape:
        size = size * length
    pairs = (size + 1) // 2
    words = random.randint(
        (pairs, 2), minval=-(2**31), maxval=2**31 - 1, dtype="int32", seed=seed
    )
    integers = ops.cast(ops.reshape(ops.view(words, "int16"), (-1,)), dtype)

    def centered(part):
        """Midpoints of equal cells of (-1/2, 1/2), so that no end is favoured."""
        return part * (1 / _LEVELS) + 0.5 / _LEVELS

    uniform = centered(integers[: 2 * pairs]) * (2 * half_width)
    radius = stddev * ops.sqrt(
        -2 * ops.log(centered(integers[2 * pairs : 3 * pairs]) + 0.5)
    )
    angle = (2 * math.pi) * centered(integers[3 * pairs :])
    normal = ops.concatenate([radius * ops.cos(angle), radius * ops.sin(angle)])
    return (
        ops.reshape(normal[:size], shape),
        ops.reshape(uniform[:size], shape),
    )
