"""Automatic derivatives against central differences."""

import numpy as np
import pytest
from keras import ops

from apps.theory import derivatives
from apps.theory.instances import BATCH_SIZES, LOSSES, draw_instances
from tests.apps.theory.problems import numerical_gradient, row_of

# One seed for each loss, batch size 4.
SEEDS = [1 + len(BATCH_SIZES) * loss for loss in range(len(LOSSES))]


@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_are_differences_of_the_loss(seed):
    problem = draw_instances([seed]).problem
    cases = (
        (problem.loss, problem.z, problem.g, abs(problem.gamma[0])),
        (problem.loss, problem.y, problem.g_normal, abs(problem.gamma[0])),
        (problem.bn_loss, problem.y, problem.bn_gradient, problem.sigma[0]),
    )
    for f, point, gradient, scale in cases:
        value, step = row_of(f), 1e-5 * scale
        expected = numerical_gradient(value, point[0], step)
        rounding = 1e-15 * abs(value(point[0])) / step
        tolerance = 1e-6 * np.abs(expected).max() + rounding
        np.testing.assert_allclose(gradient[0], expected, rtol=1e-6, atol=tolerance)


@pytest.mark.parametrize("seed", SEEDS)
def test_hessians_are_differences_of_the_gradient(seed):
    problem = draw_instances([seed]).problem
    cases = (
        (problem.loss, problem.z, problem.H, abs(problem.gamma[0])),
        (problem.bn_loss, problem.y, problem.bn_hessian, problem.sigma[0]),
    )
    for f, point, hessian, scale in cases:

        def gradient(vector, f=f):
            return derivatives.gradient(f, vector[None])[0]

        expected = numerical_gradient(gradient, point[0], 1e-5 * scale)
        tolerance = 1e-6 * np.abs(expected).max() + 1e-12
        np.testing.assert_allclose(hessian[0], expected, rtol=1e-6, atol=tolerance)


def test_derivatives_of_a_cubic_are_known():
    y = np.array([[1.0, 2.0], [3.0, -1.0]])
    v = np.array([[1.0, 1.0], [0.0, 2.0]])

    def cubic(u):
        return u[:, 0] ** 2 * u[:, 1]

    hessians = np.array([[[4.0, 2.0], [2.0, 0.0]], [[-2.0, 6.0], [6.0, 0.0]]])
    np.testing.assert_allclose(derivatives.gradient(cubic, y), [[4, 1], [-6, 9]])
    np.testing.assert_allclose(derivatives.hessian(cubic, y), hessians)
    product = np.einsum("nab,nb->na", hessians, v)
    np.testing.assert_allclose(derivatives.hessian_vector_product(cubic, y, v), product)


def test_a_linear_function_has_the_hessian_zero():
    hessian = derivatives.hessian(lambda u: ops.sum(3.0 * u, axis=-1), np.ones((2, 3)))
    np.testing.assert_array_equal(hessian, np.zeros((2, 3, 3)))


def test_a_jacobian_stands_output_by_input():
    def f(u):
        return ops.stack([u[:, 0] * u[:, 1], 2.0 * u[:, 1]], axis=-1)

    jacobian = derivatives.jacobian(f, np.array([[3.0, 5.0]]))
    np.testing.assert_allclose(jacobian, [[[5.0, 3.0], [0.0, 2.0]]])
