"""A wrong constant in any statement is caught: the source is changed and run again."""

import inspect
import types

import pytest

from apps.theory import (
    counterexamples,
    facts,
    lemma_4_5,
    observation_4_3,
    theorem_4_1,
    theorem_4_2,
    theorem_4_4,
    theorem_c_1,
)
from apps.theory.linear_algebra import centre
from tests.apps.theory.problems import small_groups


def of_problem(name):
    return lambda module, group: getattr(module, name)(group.problem)


def of_layer(name):
    return lambda module, group: getattr(module, name)(group.layer)


def of_minimum(name):
    def evaluate(module, group):
        X, t = centre(group.regression.X), group.regression.t
        minimum = module.Minimum(group.problem.loss, X, group.start, t)
        return getattr(module, name)(minimum, "centred")

    return evaluate


def centred_regression(module, group):
    regression = group.regression.centred()
    return module.least_squares(regression, group.start, "centred", "==")


def several_optima(module, group):
    return module.nearest_of_several(group.optima, group.start)


def linear_loss(sign):
    """C.1 is an equality for a linear loss; the sign of <g, y_hat> is that of kappa."""

    def evaluate(module, group):
        slope = counterexamples.E + sign * counterexamples.Y
        gamma = 0.5 * counterexamples.SIGMA
        return module.whitened(counterexamples.linear_layer(slope, gamma))

    return evaluate


CASES = [
    (
        theorem_4_1,
        of_problem("equality"),
        "g.sum(axis=-1) ** 2 / unit.m",
        "g.sum(axis=-1) ** 2 / (unit.m - 1)",
    ),
    (theorem_4_1, of_problem("equality"), "2 - problem.s", "1.001 * (2 - problem.s)"),
    (
        theorem_4_1,
        of_problem("printed"),
        '"<=", problem.g, 1.0',
        '"<=", problem.g, 2.0',
    ),
    (theorem_4_2, of_problem("hessian"), "- 3 / m * inner", "- 2 / m * inner"),
    (
        theorem_4_2,
        of_problem("hessian"),
        "@ P - shift)",
        "@ P + shift)",
    ),
    (theorem_4_2, of_problem("first_equality"), "(3 - 2 * s)", "(3 - s)"),
    (
        theorem_4_2,
        of_problem("first_equality"),
        "(m * unit.sigma**2)",
        "(m * unit.sigma)",
    ),
    (
        theorem_4_2,
        of_problem("first_printed"),
        "problem.ratio * curvature - factor",
        "problem.ratio * curvature - 2 * factor",
    ),
    (
        theorem_4_2,
        of_problem("second_corrected"),
        "problem.ratio * (problem.along_g",
        "problem.ratio**3 * (problem.along_g",
    ),
    (
        theorem_4_2,
        of_problem("second_normalized"),
        "(along_g - shift)",
        "(0.9 * along_g - shift)",
    ),
    (
        theorem_4_2,
        of_problem("more_predictive_corrected"),
        "    right = problem.along_g\n",
        "    right = problem.ratio**3 * problem.along_g\n",
    ),
    (
        observation_4_3,
        of_problem("same_outputs"),
        "beta=problem.mean",
        "beta=1.001 * problem.mean",
    ),
    (
        observation_4_3,
        of_minimum("minimum_stays_critical"),
        "gamma=problem.sigma",
        "gamma=1.001 * problem.sigma",
    ),
    (
        observation_4_3,
        of_minimum("minimum_stays_minimum"),
        "0.5 * rho * distance",
        "-0.5 * rho * distance",
    ),
    (
        theorem_4_4,
        of_layer("equality"),
        "inner_factor = bound**2 / m\n",
        "inner_factor = bound**2 / (m + 1)\n",
    ),
    (
        theorem_4_4,
        of_layer("equality"),
        "mean_factor = bound**2\n",
        "mean_factor = bound\n",
    ),
    (
        theorem_4_4,
        of_layer("equation_18"),
        "right = layer.bound**2 *",
        "right = 1.001 * layer.bound**2 *",
    ),
    (
        lemma_4_5,
        centred_regression,
        "- dot(optimum, start)) ** 2",
        "+ dot(optimum, start)) ** 2",
    ),
    (lemma_4_5, several_optima, "- gain", "- 2 * gain"),
    (
        theorem_c_1,
        of_layer("whitened"),
        "(normal - bound**4 * kappa(problem))\n    form",
        "(normal - 9 * bound**4 * kappa(problem))\n    form",
    ),
    (
        theorem_c_1,
        linear_loss(1),
        "/ (problem.m * problem.gamma)",
        "/ (0.999 * problem.m * problem.gamma)",
    ),
    (
        theorem_c_1,
        linear_loss(-1),
        "/ (problem.m * problem.gamma)",
        "/ (1.001 * problem.m * problem.gamma)",
    ),
    (
        theorem_c_1,
        of_layer("upper_bound"),
        "right = layer.bound**4 * problem.v_squared",
        "right = 0.5 * layer.bound**4 * problem.v_squared",
    ),
    (facts, of_problem("fact_c_1"), "(m * g - sums)", "(m * g - 1.001 * sums)"),
    (
        facts,
        of_problem("fact_c_2"),
        "outer(y_hat, y_hat) / m",
        "outer(y_hat, y_hat) / (m - 1)",
    ),
]


def changed(module, old, new):
    """The module with one place of its source changed."""
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
    wrong = types.ModuleType(module.__name__)
    exec(source.replace(old, new), wrong.__dict__)
    return wrong


@pytest.fixture(scope="module")
def groups():
    return small_groups()


@pytest.mark.parametrize(("module", "evaluate", "old", "new"), CASES)
def test_a_wrong_constant_is_caught(groups, module, evaluate, old, new):
    wrong = changed(module, old, new)
    right_holds = wrong_holds = True
    for group in groups:
        statement = evaluate(module, group)
        right_holds &= statement.holds[statement.assumed].all()
        statement = evaluate(wrong, group)
        wrong_holds &= statement.holds[statement.assumed].all()
    assert right_holds
    assert not wrong_holds


def test_every_statement_has_a_wrong_constant():
    assert {module for module, *_ in CASES} == {
        theorem_4_1,
        theorem_4_2,
        observation_4_3,
        theorem_4_4,
        lemma_4_5,
        theorem_c_1,
        facts,
    }
