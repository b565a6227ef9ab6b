"""Observation 4.3 and Lemma 4.5 against the optima found by search."""

import numpy as np
import pytest

from apps.theory import lemma_4_5
from apps.theory.lemma_4_5 import Regression
from apps.theory.linear_algebra import centre, with_bias
from apps.theory.observation_4_3 import Minimum
from apps.theory.problem import batch_norm
from tests.apps.theory.problems import small_groups


@pytest.fixture
def regression():
    rng = np.random.default_rng(3)
    X = rng.normal(loc=[1.0, -2.0], size=(1, 12, 2))
    return Regression(X, rng.normal(size=(1, 12)) + 1.5)


@pytest.mark.parametrize(("gamma", "beta"), [(1.0, 0.0), (3.0, -2.0)])
def test_the_best_direction_of_the_normalized_network(regression, gamma, beta):
    angles = np.linspace(0, 2 * np.pi, 200_001)[:-1]
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    y = directions @ regression.X[0].T
    ones = np.ones(len(y))
    z = np.asarray(batch_norm(y, gamma * ones, beta * ones))
    losses = np.sum((z - regression.t) ** 2, axis=-1)
    lower = (losses < np.roll(losses, 1)) & (losses < np.roll(losses, -1))
    assert lower.sum() == 1
    (best,) = directions[lower]
    expected = regression.bn_direction()[0]
    np.testing.assert_allclose(best, expected / np.linalg.norm(expected), atol=1e-4)


def test_the_optimum_of_the_normal_network(regression):
    X, t = regression.X[0], regression.t[0]
    expected, *_ = np.linalg.lstsq(X, t, rcond=None)
    np.testing.assert_allclose(regression.optimum()[0], expected, rtol=1e-12)


def test_inputs_without_a_mean_make_the_optima_agree(regression):
    centred = regression.centred()
    np.testing.assert_allclose(
        centred.optimum(), centred.bn_direction(), rtol=1e-12, atol=1e-14
    )
    assert np.abs(regression.optimum() - regression.bn_direction()).max() > 0.1


def test_the_distance_to_a_ray_by_search():
    rng = np.random.default_rng(1)
    start, direction = rng.normal(size=(2, 50, 3))
    lengths = np.linspace(0, 30, 300_001)
    for one in range(50):
        by_hand = np.min(
            np.sum(start[one] ** 2)
            - 2 * lengths * (start[one] @ direction[one])
            + lengths**2 * np.sum(direction[one] ** 2)
        )
        found = lemma_4_5.squared_distance_to_ray(start[[one]], direction[[one]])[0]
        assert found == pytest.approx(by_hand, abs=1e-7)


def test_the_scale_of_the_weights_does_not_matter_unless_for_epsilon():
    y, one = np.array([[1.0, 2.0, 4.0]]), np.ones(1)
    np.testing.assert_allclose(
        batch_norm(5 * y, one, one), batch_norm(y, one, one), rtol=1e-14
    )
    with_epsilon = [np.asarray(batch_norm(a * y, one, one, 1e-3)) for a in (1, 5)]
    assert np.abs(with_epsilon[0] - with_epsilon[1]).max() > 1e-5


@pytest.mark.parametrize("inputs", [lambda X: X, centre, with_bias])
def test_a_minimum_is_one_of_the_normal_network(inputs):
    rng = np.random.default_rng(0)
    for group in small_groups(each=3):
        X = inputs(group.regression.X)
        w = rng.normal(size=(len(X), X.shape[2]))
        minimum = Minimum(group.problem.loss, X, w, group.regression.t)
        loss = minimum.problem.loss
        y = np.einsum("nmd,nd->nm", X, w)
        lowest = np.asarray(loss(y))
        for _ in range(10):
            step = rng.normal(size=w.shape)
            step *= 1e-4 * np.abs(group.problem.gamma)[:, None]
            nearby = np.asarray(loss(y + np.einsum("nmd,nd->nm", X, step)))
            assert (nearby >= lowest - 1e-13 * np.abs(lowest)).all()
