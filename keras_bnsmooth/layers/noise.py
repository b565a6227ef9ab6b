"""The noise of Algorithm 1 of Santurkar et al. (2018)."""

import math

from keras import ops, random

from keras_bnsmooth.layers.channels import broadcast_channels, number_of_elements
from keras_bnsmooth.layers.checks import check_real

# Odd, so that w -> factor * w is one-to-one modulo 2**32. Chosen among random ones by
# the spectral test: the shortest dual vectors of the lattice of (w, 2**16 w, factor w)
# have length 1120 and more, 265 with both factors (about 1,600 and 300 are the best).
_FACTORS = [[0xC202387B - 2**32], [0x99A2ECB1 - 2**32]]


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
    shift = broadcast_channels((2 * unit[0] - 1) * n_mu, a, axis)
    scale = broadcast_channels(1 + unit[1] * (n_sigma - 1), a, axis)
    if r_mu or r_sigma:
        normal, uniform = normal_and_uniform(
            ops.shape(a), a.dtype, stddev=r_sigma, half_width=r_mu, seed=seed
        )
        scale = normal + scale
        shift = uniform + shift
    return scale * a + shift


def normal_and_uniform(shape, dtype, stddev, half_width, seed):
    """Draws `N(0, stddev)` and `U(-half_width, half_width)` for every element.

    On a CPU most of the time of noise goes into random bits, so they are used
    sparingly: one 32-bit word for two elements.

    - Its two 16-bit halves are two uniform numbers for the Box-Muller transform,
      which makes two independent normal numbers of two uniform ones.
    - Its products with two odd constants, modulo 2**32, are the uniform numbers of
      two elements, as the successive outputs of a congruential generator are.

    The four uses of a word go to different elements: the normal and the uniform number
    of one element come from different words (the very first and last excepted). The
    normal numbers end at 4.85 standard
    deviations (they would pass them once in 800,000 draws).

    Args:
        shape: Shape of the tensors to draw; its sizes may be known at run time only.
        dtype: Their dtype.
        stddev: Standard deviation of the normal numbers.
        half_width: Bound of the uniform numbers.
        seed: A `keras.random.SeedGenerator`.

    Returns:
        Tuple `(normal, uniform)` of two tensors.
    """
    size = number_of_elements(shape)
    pairs = (size + 1) // 2
    words = random.randint(
        (pairs, 1), minval=-(2**31), maxval=2**31 - 1, dtype="int32", seed=seed
    )

    halves = ops.cast(ops.reshape(ops.view(words, "int16"), (-1,)), dtype)
    # Midpoints of 2**16 cells of (0, 1), so that the logarithm is finite.
    unit = halves[:pairs] * 2.0**-16 + (0.5 + 2.0**-17)
    radius = ops.sqrt(ops.log(unit) * (-2 * stddev**2))
    angle = halves[pairs:] * (2.0**-15 * math.pi)
    normal = ops.concatenate([radius * ops.cos(angle), radius * ops.sin(angle)])

    products = ops.reshape(words, (1, -1)) * ops.convert_to_tensor(_FACTORS, "int32")
    uniform = ops.reshape(ops.cast(products, dtype), (-1,)) * (2.0**-31 * half_width)
    return ops.reshape(normal[:size], shape), ops.reshape(uniform[:size], shape)
