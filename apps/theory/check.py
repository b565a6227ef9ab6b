"""Evaluates every statement of the paper on random problems."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from apps.theory import (
    facts,
    lemma_4_5,
    observation_4_3,
    theorem_4_1,
    theorem_4_2,
    theorem_4_4,
    theorem_c_1,
)
from apps.theory.instances import Instances, draw_groups
from apps.theory.linear_algebra import centre, with_bias
from apps.theory.observation_4_3 import Minimum
from apps.theory.problem import Problem
from apps.theory.statement import Statement, concatenate

KERAS_EPSILON = 1e-3


def check(
    seeds: Iterable[int], report: Callable[[int], None] = lambda done: None
) -> list[Statement]:
    """Evaluates every statement on the problems of these seeds.

    Args:
        seeds: One problem each; see `instances`.
        report: Called with the number of problems done so far.

    Returns:
        A `Statement` on all problems per form, in the order of the paper.
    """
    parts: dict[tuple[str, str], list[Statement]] = {}
    done = 0
    for instances in draw_groups(seeds):
        for statement in statements(instances):
            part = dataclasses.replace(statement, seeds=instances.seeds)
            parts.setdefault((part.name, part.form), []).append(part)
        done += len(instances.seeds)
        report(done)
    return [concatenate(forms) for forms in parts.values()]


def statements(instances: Instances) -> Iterator[Statement]:
    """Yields every form of every statement on a group of instances."""
    problem, layer = instances.problem, instances.layer
    yield from (form(problem) for form in theorem_4_1.FORMS)
    yield from _with_epsilon(problem)
    yield from (form(problem) for form in theorem_4_2.FORMS)
    yield from _observation_4_3(instances)
    yield from (form(layer) for form in theorem_4_4.FORMS)
    yield from _lemma_4_5(instances)
    yield from (form(layer) for form in theorem_c_1.FORMS)
    yield from (form(problem) for form in facts.FORMS)


def _with_epsilon(problem: Problem) -> Iterator[Statement]:
    keras_problem = dataclasses.replace(problem, epsilon=KERAS_EPSILON)
    for form in (theorem_4_1.equality, theorem_4_1.printed):
        statement = form(keras_problem)
        name = f"{statement.form}, epsilon = {KERAS_EPSILON}"
        yield dataclasses.replace(statement, form=name)


def _observation_4_3(instances: Instances) -> Iterator[Statement]:
    loss, t, w = instances.problem.loss, instances.regression.t, instances.start
    X, bias = instances.regression.X, instances.optima[:, 0, :1]
    biased = Minimum(loss, with_bias(X), np.concatenate([w, bias], axis=-1), t)
    centred = Minimum(loss, centre(X), w, t)
    yield observation_4_3.same_outputs(instances.problem)
    yield observation_4_3.minimum_stays_critical(Minimum(loss, X, w, t), "any inputs")
    for minimum, inputs in ((centred, "inputs centred"), (biased, "layer with bias")):
        yield observation_4_3.minimum_stays_critical(minimum, inputs)
        yield observation_4_3.minimum_stays_minimum(minimum, inputs)


def _lemma_4_5(instances: Instances) -> Iterator[Statement]:
    regression, start = instances.regression, instances.start
    yield lemma_4_5.least_squares(regression, start, "any inputs", "<=")
    yield lemma_4_5.least_squares(regression.centred(), start, "inputs centred", "==")
    yield lemma_4_5.nearest_of_several(instances.optima, start)
