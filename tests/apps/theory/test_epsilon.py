"""Theorems 4.1 and 4.2 with an epsilon in the variance, as in Keras."""

import dataclasses

import numpy as np
import pytest

from apps.theory import theorem_4_1, theorem_4_2
from tests.apps.theory.problems import small_groups


@pytest.mark.parametrize("epsilon", [1e-3, 1.0])
def test_the_equalities_hold_with_epsilon_and_the_printed_bound_is_not_tight(epsilon):
    slack = []
    for group in small_groups(each=4):
        problem = dataclasses.replace(group.problem, epsilon=epsilon)
        assert theorem_4_1.equality(problem).holds.all()
        assert theorem_4_2.hessian(problem).holds.shape == (4,)
        assert theorem_4_2.first_equality(problem).holds.all()
        printed = theorem_4_1.printed(problem)
        assert printed.holds.all()
        slack.append(-printed.excess)
    assert np.concatenate(slack).max() > 1e-6
