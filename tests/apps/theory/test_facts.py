import numpy as np
import pytest
from keras import ops

from apps.theory import Problem, derivatives
from apps.theory.facts import fact_c_1, fact_c_2
from apps.theory.problem import batch_norm


def test_the_jacobian_of_three_samples_by_hand():
    # y = (-1, 0, 1): sigma = sqrt(2/3), I - 1/3 - y_hat y_hat^T / 3 = e e^T / 6 with
    # e = (1, -2, 1). gamma = 3.
    by_hand = 3 / np.sqrt(2 / 3) / 6 * np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    problem = Problem([-1.0, 0.0, 1.0], gamma=3.0, beta=7.0, loss=None)
    statement = fact_c_2(problem)
    np.testing.assert_allclose(statement.left[0], by_hand, atol=1e-14)
    np.testing.assert_allclose(statement.right[0], by_hand, atol=1e-14)


def test_batch_norm_by_hand():
    y, one = np.array([[2.0, 4.0, 6.0, 8.0]]), np.ones(1)
    z = batch_norm(y, 2 * one, 3 * one)
    expected = 3 + 2 * np.array([[-3.0, -1.0, 1.0, 3.0]]) / np.sqrt(5)
    np.testing.assert_allclose(z, expected, rtol=1e-14)
    with_epsilon = batch_norm(y, 2 * one, 3 * one, epsilon=4.0)
    expected = 3 + 2 * np.array([[-3.0, -1.0, 1.0, 3.0]]) / 3
    np.testing.assert_allclose(with_epsilon, expected, rtol=1e-14)


def test_no_gradient_passes_a_batch_of_two():
    y = np.array([[1.0, 5.0]])
    jacobian = derivatives.jacobian(lambda u: batch_norm(u, np.ones(1), np.ones(1)), y)
    np.testing.assert_allclose(jacobian, np.zeros((1, 2, 2)), atol=1e-15)


@pytest.mark.parametrize("fact", [fact_c_1, fact_c_2])
def test_the_facts_hold_with_an_epsilon(fact):
    problem = Problem(
        [0.1, 0.2, 0.4, 0.1],
        gamma=-2.0,
        beta=0.3,
        epsilon=0.05,
        loss=lambda u: ops.sum(ops.sin(3.0 * u), axis=-1),
    )
    assert fact(problem).holds.all()


def test_constant_outputs_are_refused():
    with pytest.raises(ValueError, match="sigma = 0"):
        Problem([2.0, 2.0, 2.0], loss=None)
    with pytest.raises(ValueError, match=r"received shape \(1, 1, 1\)"):
        Problem([[[2.0]]], loss=None)
