"""Statistics of the noise that ActivationNoise and NoisyBatchNormalization share."""

import keras
import numpy as np
import pytest

from keras_bnsmooth.layers import ActivationNoise
from keras_bnsmooth.layers.noise import normal_and_uniform

N_MU, N_SIGMA, R_MU, R_SIGMA = 0.5, 1.25, 0.1, 0.1


def draw(seed, shape):
    """Standard normal and U(-1, 1) numbers, float64 arrays of that shape."""
    generator = keras.random.SeedGenerator(seed)
    tensors = normal_and_uniform(shape, "float32", 1.0, 1.0, generator)
    return [keras.ops.convert_to_numpy(t).astype("float64") for t in tensors]


def scale_and_shift(layer, shape):
    """The `s` and `m` of one call, from one replayed at other activations."""
    layer.build(shape)
    state = [v.value for v in layer.non_trainable_variables]
    outputs = []
    for a in (0.0, 1.0):
        inputs = keras.ops.full(shape, a)
        output, _ = layer.stateless_call([], state, inputs, training=True)
        outputs.append(keras.ops.convert_to_numpy(output).astype("float64"))
    layer(inputs, training=True)
    return outputs[1] - outputs[0], outputs[0]


def ks_distance(samples, cdf):
    """Kolmogorov-Smirnov distance of the samples from a distribution function."""
    values = cdf(np.sort(samples.ravel()))
    n = values.size
    above = np.arange(1, n + 1) / n - values
    return max(above.max(), (1 / n - above).max())


def normal_cdf(x):
    # On a fine grid, as NumPy has no error function.
    grid = np.linspace(-8, 8, 200_001)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    return np.interp(x, grid, np.cumsum(density) * (grid[1] - grid[0]))


def test_elements_have_the_right_distributions():
    normal, uniform = draw(1, (1_000_000,))
    # A sample of this size passes 1.95e-3 once in a thousand times.
    assert ks_distance(normal, normal_cdf) < 1.95e-3
    assert ks_distance(uniform, lambda x: (x + 1) / 2) < 1.95e-3
    # Moments, with bounds of four standard errors.
    for samples, moments in ((normal, (0, 1, 0, 3)), (uniform, (0, 1 / 3, 0, 1 / 5))):
        for order, moment in enumerate(moments, start=1):
            powers = samples**order
            assert abs(powers.mean() - moment) < 4e-3 * powers.std()


def test_elements_are_independent():
    n = 400_000
    half = n // 2
    features = []
    for x in draw(2, (n,)):
        for f in (x, x**2, np.sin(20 * x), np.cos(20 * x)):
            features.append(((f - f.mean()) / f.std()).astype("float32"))
    everything, first, second = slice(None), slice(half), slice(half, None)
    # Pairs of elements: the two numbers of one element, short lags, a row, and the
    # distances that the drawing uses (half of all, index 2 i for index i).
    places = [(everything, everything), (first, second)]
    places += [(slice(-lag), slice(lag, None)) for lag in (1, 2, 3, 16, 1024)]
    places += [(part, slice(k, None, 2)) for part in (first, second) for k in (0, 1)]
    scores = []
    for here, there in places:
        for i, f in enumerate(features):
            for k, g in enumerate(features):
                if (here, there) == (everything, everything) and i // 4 == k // 4:
                    continue  # A number is not independent of itself.
                product = np.dot(f[here], g[there])
                scores.append(abs(product) / np.sqrt(f[here].size))
    # The largest of some 670 standard normal numbers passes 5 once in 2,600 times.
    assert len(scores) > 600
    assert max(scores) < 5


def test_pairs_fill_the_square_evenly():
    normal, uniform = draw(3, (1_000_000,))
    cells = np.column_stack([normal_cdf(normal), (uniform + 1) / 2])
    half = len(cells) // 2
    for x, y in (
        (cells[:, 0], cells[:, 1]),
        (cells[:half, 0], cells[half:, 0]),
        (cells[:half, 1], cells[half:, 1]),
    ):
        counts, _, _ = np.histogram2d(x, y, bins=32, range=[[0, 1], [0, 1]])
        expected = x.size / 32**2
        chi_squared = np.sum((counts - expected) ** 2 / expected)
        # 1,023 degrees of freedom: standard deviation 45.
        assert abs(chi_squared - 1023) < 4 * 45


def test_channels_have_a_mean_and_a_scale_of_their_own():
    scale, shift = scale_and_shift(ActivationNoise(seed=4), (2000, 500))
    mu, sigma = shift.mean(axis=0), scale.mean(axis=0)
    # Averages of 2,000 numbers: their standard errors are 0.0013 and 0.0022.
    assert ks_distance(mu, lambda x: np.clip((x + N_MU) / (2 * N_MU), 0, 1)) < 0.09
    assert ks_distance(sigma, lambda x: np.clip((x - 1) / 0.25, 0, 1)) < 0.09
    assert abs(np.corrcoef(mu, sigma)[0, 1]) < 4 / np.sqrt(500)
    assert mu.min() < -0.48 and mu.max() > 0.48
    assert sigma.min() < 1.02 and sigma.max() > 1.23
    # Neighbouring channels know nothing of each other.
    assert abs(np.corrcoef(mu[1:], mu[:-1])[0, 1]) < 4 / np.sqrt(500)
    # Within a channel: uniform of half-width r_mu, normal of deviation r_sigma.
    width = np.ptp(shift, axis=0)
    assert width.max() < 2 * R_MU + 1e-5 and width.min() > 2 * R_MU * 0.98
    np.testing.assert_allclose(scale.std(axis=0), R_SIGMA, rtol=0.08)
    residual = (scale - sigma) / R_SIGMA
    assert ks_distance(residual, normal_cdf) < 3e-3


def test_steps_are_independent():
    layer = ActivationNoise(seed=5)
    steps = [scale_and_shift(layer, (400, 64)) for _ in range(30)]
    for draws in zip(*steps, strict=True):
        channels = np.array([x.mean(axis=0) for x in draws])
        # The channel's distribution moves from step to step, and not steadily.
        lagged = np.corrcoef(channels[1:].ravel(), channels[:-1].ravel())[0, 1]
        assert abs(lagged) < 4 / np.sqrt(channels[1:].size)
        residuals = np.array([x - x.mean(axis=0) for x in draws])
        lagged = np.corrcoef(residuals[1:].ravel(), residuals[:-1].ravel())[0, 1]
        assert abs(lagged) < 4 / np.sqrt(residuals[1:].size)


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (1, 1), (7, 2, 3, 3, 1)])
def test_any_number_of_elements(shape):
    scale, shift = scale_and_shift(ActivationNoise(seed=0), shape)
    assert scale.shape == shift.shape == shape
    assert len(np.unique(scale)) == scale.size
    assert np.all(np.abs(shift) <= N_MU + R_MU)


def test_one_kind_of_noise_alone():
    scale, shift = scale_and_shift(ActivationNoise(n_mu=0, r_mu=0, seed=0), (99, 3))
    np.testing.assert_array_equal(shift, 0)
    assert scale.std() > 0.05
    arguments = {"n_sigma": 1, "r_sigma": 0}
    scale, shift = scale_and_shift(ActivationNoise(seed=0, **arguments), (99, 3))
    np.testing.assert_allclose(scale, 1, atol=1e-6)
    assert shift.std() > 0.05
    arguments = {"r_mu": 0, "r_sigma": 0}
    scale, shift = scale_and_shift(ActivationNoise(seed=0, **arguments), (99, 3))
    assert np.ptp(shift, axis=0).max() == 0
    assert np.ptp(scale, axis=0).max() < 1e-6
    assert np.ptp(scale, axis=1).min() > 0
