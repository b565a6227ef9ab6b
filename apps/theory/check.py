"""Every statement of the paper on every random problem."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from apps.theory import (
    fact_c_1,
    fact_c_2,
    lemma_4_5,
    observation_4_3,
    theorem_4_1,
    theorem_4_2,
    theorem_4_4,
    theorem_c_1,
)
from apps.theory.instances import Instances, draw_groups
from apps.theory.observation_4_3 import Minimum
from apps.theory.problem import Problem
from apps.theory.regression import centre, with_bias
from apps.theory.statement import TOLERANCE, Statement

KERAS_EPSILON = 1e-3


@dataclasses.dataclass(frozen=True)
class Result:
    """A statement on all instances, one entry of each array an instance.

    Attributes:
        name: the statement's name in the paper.
        form: which form of it.
        relation: "==", "<=" or "<".
        seeds: of the instances.
        left: the left side; of an equation between arrays, its norm.
        right: the right side, likewise.
        excess: (left - right) / scale, of `Statement`.
        violation: by how much the relation fails, relative; 0 where it holds.
        holds: whether the relation holds to `TOLERANCE`.
        assumptions: the conditions by name, booleans.
    """

    name: str
    form: str
    relation: str
    seeds: np.ndarray
    left: np.ndarray
    right: np.ndarray
    excess: np.ndarray
    violation: np.ndarray
    holds: np.ndarray
    assumptions: dict[str, np.ndarray]

    @property
    def assumed(self) -> np.ndarray:
        """Where every assumption holds."""
        return np.all([np.ones_like(self.holds), *self.assumptions.values()], axis=0)

    @property
    def counterexamples(self) -> np.ndarray:
        """Seeds of the instances that meet the assumptions and fail."""
        return self.seeds[self.assumed & ~self.holds]

    @property
    def verdict(self) -> str:
        """One of "holds with equality", "holds", "fails", "never applies"."""
        if not self.assumed.any():
            return "never applies"
        if len(self.counterexamples):
            return "fails"
        if np.abs(self.excess[self.assumed]).max() <= TOLERANCE:
            return "holds with equality"
        return "holds"

    def summary(self) -> dict:
        """The row of the table and of the JSON file."""
        assumed, failing = self.assumed, self.counterexamples
        return {
            "statement": self.name,
            "form": self.form,
            "relation": self.relation,
            "instances": len(self.seeds),
            "assumptions": {
                condition: int(met.sum()) for condition, met in self.assumptions.items()
            },
            "satisfying": int(assumed.sum()),
            "failures": len(failing),
            "failures_without_assumptions": int((~assumed & ~self.holds).sum()),
            "largest_violation": float(np.max(self.violation[assumed], initial=0.0)),
            "verdict": self.verdict,
            "counterexample_seed": int(failing.min()) if len(failing) else None,
        }


def check(
    seeds: Iterable[int], report: Callable[[int], None] = lambda done: None
) -> list[Result]:
    """Evaluates every statement on the problems of these seeds.

    Args:
        seeds: one problem each; see `instances`.
        report: called with the number of problems done so far.

    Returns:
        A `Result` for each form of each statement, in the order of the paper.
    """
    parts: dict[tuple[str, str], list[Result]] = {}
    done = 0
    for instances in draw_groups(seeds):
        for statement in statements(instances):
            part = _per_instance(statement, instances.seeds)
            parts.setdefault((part.name, part.form), []).append(part)
        done += len(instances.seeds)
        report(done)
    return [_concatenate(group) for group in parts.values()]


def statements(instances: Instances) -> Iterable[Statement]:
    """Every form of every statement on a group of instances."""
    problem, bound = instances.problem, instances.bound
    yield from _theorem_4_1(problem)
    yield theorem_4_2.hessian(problem)
    yield theorem_4_2.first_equality(problem)
    yield theorem_4_2.first_printed(problem)
    yield theorem_4_2.first_printed_at_y(problem)
    yield theorem_4_2.second_printed(problem)
    yield theorem_4_2.second_corrected(problem)
    yield theorem_4_2.second_normalized(problem)
    yield theorem_4_2.more_predictive(problem)
    yield theorem_4_2.more_predictive_corrected(problem)
    yield from _observation_4_3(instances)
    direction = instances.direction
    yield theorem_4_4.equation_18(problem, direction, bound)
    yield theorem_4_4.equality(problem, direction, bound)
    yield theorem_4_4.every_input(problem, direction, bound, instances.contraction)
    yield theorem_4_4.printed(problem, direction, bound)
    yield theorem_4_4.printed_square(problem, direction, bound)
    yield theorem_4_4.printed_mean(problem, direction, bound)
    yield theorem_4_4.printed_inner(problem, direction, bound)
    yield theorem_4_4.equation_17(problem, direction, bound)
    yield from _lemma_4_5(instances)
    yield theorem_c_1.printed(problem, bound)
    yield theorem_c_1.printed_conditioned(problem, bound)
    yield theorem_c_1.whitened(problem, bound)
    yield theorem_c_1.upper_bound(problem, bound)
    yield theorem_c_1.equation_57(problem, bound)
    yield theorem_c_1.equation_58(problem, bound)
    yield fact_c_1.fact_c_1(problem)
    yield fact_c_2.fact_c_2(problem)


def _theorem_4_1(problem: Problem) -> Iterable[Statement]:
    yield theorem_4_1.equality(problem)
    yield theorem_4_1.printed(problem)
    yield theorem_4_1.printed_at_y(problem)
    keras_problem = dataclasses.replace(problem, epsilon=KERAS_EPSILON)
    for form in (theorem_4_1.equality, theorem_4_1.printed):
        statement = form(keras_problem)
        name = f"{statement.form}, epsilon = {KERAS_EPSILON}"
        yield dataclasses.replace(statement, form=name)


def _observation_4_3(instances: Instances) -> Iterable[Statement]:
    loss, t, w = instances.problem.loss, instances.regression.t, instances.start
    X, bias = instances.regression.X, instances.optima[:, 0, :1]
    biased = Minimum(loss, with_bias(X), np.concatenate([w, bias], axis=-1), t)
    centred = Minimum(loss, centre(X), w, t)
    yield observation_4_3.same_outputs(instances.problem)
    yield observation_4_3.minimum_stays_critical(Minimum(loss, X, w, t), "any inputs")
    for minimum, inputs in ((centred, "inputs centred"), (biased, "layer with bias")):
        yield observation_4_3.minimum_stays_critical(minimum, inputs)
        yield observation_4_3.minimum_stays_minimum(minimum, inputs)


def _lemma_4_5(instances: Instances) -> Iterable[Statement]:
    regression, start = instances.regression, instances.start
    yield lemma_4_5.least_squares(regression, start, "any inputs", "<=")
    yield lemma_4_5.least_squares(regression.centred(), start, "inputs centred", "==")
    yield lemma_4_5.nearest_of_several(instances.optima, start)


def _per_instance(statement: Statement, seeds: np.ndarray) -> Result:
    return Result(
        name=statement.name,
        form=statement.form,
        relation=statement.relation,
        seeds=seeds,
        left=_magnitude(statement.left),
        right=_magnitude(statement.right),
        excess=statement.excess,
        violation=statement.violation,
        holds=statement.holds,
        assumptions=statement.assumptions,
    )


def _magnitude(side: np.ndarray) -> np.ndarray:
    """A scalar side as it is, of an array its norm."""
    if side.ndim == 1:
        return side
    return np.sqrt(np.sum(side**2, axis=tuple(range(1, side.ndim))))


def _concatenate(parts: list[Result]) -> Result:
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("seeds", "left", "right", "excess", "violation", "holds")
    }
    conditions = {
        condition: np.concatenate([part.assumptions[condition] for part in parts])
        for condition in parts[0].assumptions
    }
    return dataclasses.replace(parts[0], **arrays, assumptions=conditions)
