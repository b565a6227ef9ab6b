"""Statistics of the noise that both noise layers add."""

import keras
import numpy as np
import pytest

from keras_bnsmooth.layers import ActivationNoise

N_MU, N_SIGMA, R_MU, R_SIGMA = 0.5, 1.25, 0.1, 0.1


def scale_and_shift(layer, shape):
    """The `s` and `m` of one call, which is replayed with all activations 0 and 1."""
    layer.build(shape)
    state = [v.value for v in layer.non_trainable_variables]
    outputs = []
    for a in (0.0, 1.0):
        inputs = keras.ops.full(shape, a)
        output, _ = layer.stateless_call([], state, inputs, training=True)
        outputs.append(keras.ops.convert_to_numpy(output).astype("float64"))
    layer(inputs, training=True)
    return outputs[1] - outputs[0], outputs[0]


def draw_elements(seed, count):
    """The standard normal and U(-1, 1) parts of `s` and `m` in a single channel."""
    layer = ActivationNoise(n_mu=0, n_sigma=1, r_mu=1, r_sigma=1, seed=seed)
    scale, shift = scale_and_shift(layer, (count, 1))
    return scale.ravel() - 1, shift.ravel()


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
    normal, uniform = draw_elements(1, 1_000_000)
    # A sample of this size exceeds 1.95e-3 once in a thousand times.
    assert ks_distance(normal, normal_cdf) < 1.95e-3
    assert ks_distance(uniform, lambda x: (x + 1) / 2) < 1.95e-3
    # Moments, with bounds of four standard errors.
    for samples, moments in ((normal, (0, 1, 0, 3)), (uniform, (0, 1 / 3, 0, 1 / 5))):
        for order, moment in enumerate(moments, start=1):
            powers = samples**order
            assert abs(powers.mean() - moment) < 4e-3 * powers.std()


def test_elements_are_independent():
    n = 400_000
    features = []
    for x in draw_elements(2, n):
        for f in (x, x**2, np.sin(20 * x), np.cos(20 * x)):
            features.append(((f - f.mean()) / f.std()).astype("float32"))
    everything = slice(None)
    # Pairs of draws: both for one element, then those for elements some lag apart.
    places = [(everything, everything)]
    places += [(slice(-lag), slice(lag, None)) for lag in (1, 2, 3, 16, 1024, n // 2)]
    scores = []
    for here, there in places:
        for i, f in enumerate(features):
            for k, g in enumerate(features):
                if (here, there) == (everything, everything) and i // 4 == k // 4:
                    continue  # A draw is not independent of itself.
                product = np.dot(f[here], g[there])
                scores.append(abs(product) / np.sqrt(f[here].size))
    # The largest of 416 standard normal numbers exceeds 5 once in 4,200 times.
    assert len(scores) == 416
    assert max(scores) < 5


def test_pairs_fill_the_square_evenly():
    normal, uniform = draw_elements(3, 1_000_000)
    normal, uniform = normal_cdf(normal), (uniform + 1) / 2
    neighbours = [(u[::2], u[1::2]) for u in (normal, uniform)]
    for x, y in [(normal, uniform), *neighbours]:
        counts, _, _ = np.histogram2d(x, y, bins=32, range=[[0, 1], [0, 1]])
        expected = x.size / 32**2
        chi_squared = np.sum((counts - expected) ** 2 / expected)
        # 1,023 degrees of freedom: standard deviation 45.
        assert abs(chi_squared - 1023) < 4 * 45


def test_each_channel_has_its_own_mean_and_scale():
    scale, shift = scale_and_shift(ActivationNoise(seed=4), (2000, 500))
    mu, sigma = shift.mean(axis=0), scale.mean(axis=0)
    # Averages of 2,000 numbers, with standard errors of 0.0013 and 0.0022.
    assert ks_distance(mu, lambda x: np.clip((x + N_MU) / (2 * N_MU), 0, 1)) < 0.09
    assert ks_distance(sigma, lambda x: np.clip((x - 1) / 0.25, 0, 1)) < 0.09
    assert abs(np.corrcoef(mu, sigma)[0, 1]) < 4 / np.sqrt(500)
    assert mu.min() < -0.48 and mu.max() > 0.48
    assert sigma.min() < 1.02 and sigma.max() > 1.23
    # Neighbouring channels are independent.
    assert abs(np.corrcoef(mu[1:], mu[:-1])[0, 1]) < 4 / np.sqrt(500)
    # Within a channel: uniform of half-width r_mu, normal with deviation r_sigma.
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
        # Both a channel's distribution and its elements are redrawn at each step.
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


def test_one_kind_of_noise_at_a_time():
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
