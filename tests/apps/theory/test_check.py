"""Every form of every statement on random problems: the verdict that it should get."""

import functools

import numpy as np
import pytest

from apps.theory.check import check
from apps.theory.instances import draw_groups, draw_instances
from apps.theory.statement import Statement
from tests.apps.theory.problems import small_seeds

EQUALITY, HOLDS, FAILS = "holds with equality", "holds", "fails"
EXPECTED = {
    ("Theorem 4.1", "equality, gradient at z"): EQUALITY,
    ("Theorem 4.1", "as printed, gradient at z"): EQUALITY,
    ("Theorem 4.1", "as printed, gradient at y"): FAILS,
    ("Theorem 4.1", "equality, gradient at z, epsilon = 0.001"): EQUALITY,
    ("Theorem 4.1", "as printed, gradient at z, epsilon = 0.001"): HOLDS,
    ("Theorem 4.2", "Hessian, equations (41)-(42)"): EQUALITY,
    ("Theorem 4.2", "first part, equality (50)"): EQUALITY,
    ("Theorem 4.2", "first part as printed, at z"): EQUALITY,
    ("Theorem 4.2", "first part as printed, at y"): FAILS,
    ("Theorem 4.2", "second part as printed"): FAILS,
    ("Theorem 4.2", "second part, with |v| <= |g|"): HOLDS,
    ("Theorem 4.2", "second part, curvature along the gradient"): HOLDS,
    ("Theorem 4.2", "consequence, conditions as printed"): FAILS,
    ("Theorem 4.2", "consequence, conditions completed"): HOLDS,
    ("Observation 4.3", "same activations"): EQUALITY,
    ("Observation 4.3", "minima stay critical, any inputs"): FAILS,
    ("Observation 4.3", "minima stay critical, inputs centred"): EQUALITY,
    ("Observation 4.3", "minima stay minima (Hessian), inputs centred"): EQUALITY,
    ("Observation 4.3", "minima stay critical, layer with bias"): EQUALITY,
    ("Observation 4.3", "minima stay minima (Hessian), layer with bias"): EQUALITY,
    ("Theorem 4.4", "equation (18)"): EQUALITY,
    ("Theorem 4.4", "corrected, an equality"): EQUALITY,
    ("Theorem 4.4", "corrected, any inputs X"): HOLDS,
    ("Theorem 4.4", "as printed"): FAILS,
    ("Theorem 4.4", "only g_j^2 as printed"): FAILS,
    ("Theorem 4.4", "only m mu^2 without lambda^2 as printed"): FAILS,
    ("Theorem 4.4", "only <g, y_hat>^2 without 1/m as printed"): FAILS,
    ("Theorem 4.4", "equation (17) as printed, 1/sqrt(m)"): FAILS,
    ("Lemma 4.5", "optima of least squares, any inputs"): FAILS,
    ("Lemma 4.5", "optima of least squares, inputs centred"): EQUALITY,
    ("Lemma 4.5", "nearest of several optima, their rays given"): HOLDS,
    ("Theorem C.1", "as printed"): FAILS,
    ("Theorem C.1", "as printed, with |v| <= |g|"): FAILS,
    ("Theorem C.1", "corrected, at X X^T = lambda^2 I"): HOLDS,
    ("Theorem C.1", "corrected upper bound"): HOLDS,
    ("Theorem C.1", "equation (57) as printed"): FAILS,
    ("Theorem C.1", "equation (58), maximum at X X^T = lambda^2 I"): FAILS,
    ("Fact C.1", "as printed"): EQUALITY,
    ("Fact C.2", "as printed"): EQUALITY,
}
SEEDS = small_seeds(each=60, first_seed=30_000)


@pytest.fixture(scope="module")
def results():
    return {(r.name, r.form): r for r in check(SEEDS)}


def test_no_form_is_missing(results):
    assert list(results) == list(EXPECTED)


@pytest.mark.parametrize("key", EXPECTED)
def test_verdict(results, key):
    assert results[key].verdict == EXPECTED[key]


@pytest.mark.parametrize("key", [key for key in EXPECTED if EXPECTED[key] == FAILS])
def test_a_counterexample_fails_again_from_its_seed_alone(results, key):
    seed = results[key].summary()["counterexample_seed"]
    (again,) = (r for r in check_alone(seed) if (r.name, r.form) == key)
    assert again.assumed.all()
    assert not again.holds.any()


@functools.cache
def check_alone(seed):
    return check([seed])


def test_conditional_statements_apply_often_enough(results):
    for result in results.values():
        assert result.assumed.sum() >= 40, (result.name, result.form)


def test_the_second_part_of_4_2_fails_just_where_v_is_longer(results):
    printed = results["Theorem 4.2", "second part as printed"]
    bounded = results["Theorem 4.2", "second part, with |v| <= |g|"]
    longer = ~bounded.assumptions["|v| <= |g|"]
    np.testing.assert_array_equal(
        ~printed.holds[printed.assumed], longer[printed.assumed]
    )


def test_an_instance_does_not_depend_on_the_others():
    (group,) = draw_groups([7, 31, 55])
    alone = draw_instances([31])
    np.testing.assert_array_equal(alone.problem.y[0], group.problem.y[1])
    np.testing.assert_array_equal(alone.problem.g[0], group.problem.g[1])


def test_seeds_of_different_batch_sizes_are_refused():
    with pytest.raises(ValueError, match="one batch size and loss"):
        draw_instances([0, 1])


def test_relations():
    def statement(relation, left, right):
        sides = (np.array([left]), np.array([right]), np.array([1.0]))
        return Statement("name", "form", relation, *sides)

    assert statement("<=", 1.0, 1.0).holds
    assert not statement("<", 1.0, 1.0).holds
    assert statement("<", 0.0, 1.0).holds
    assert statement("==", 1.0, 1.0 + 1e-11).holds
    assert not statement("==", 1.0, 1.0 + 1e-9).holds
    assert not statement("<=", 2.0, 1.0).holds
    # Half of the larger of scale and left.
    assert statement("<=", 2.0, 1.0).violation == 0.5
