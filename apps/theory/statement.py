"""A statement of the paper evaluated on n instances: both sides and a verdict."""

import dataclasses

import numpy as np

TOLERANCE = 1e-10


@dataclasses.dataclass(frozen=True)
class Statement:
    """Both sides of a statement of the paper on n instances.

    Attributes:
        name: Name in the paper, such as "Theorem 4.1".
        form: "as printed", or how this form differs from the printed one.
        relation: "==", "<=" or "<", as claimed between left and right.
        left: ``[n]``, or ``[n, ...]`` for an equation between arrays. Computed by
            automatic differentiation or by solving the problem at hand, never by the
            formula on the right.
        right: The paper's formula, shaped like left.
        scale: ``[n]``, size of the largest term on the right. Differences are relative
            to it (or to left, if that is larger), because a side can be a small
            difference of large terms.
        assumptions: The statement's conditions by name, booleans ``[n]``.
        seeds: Seeds of the instances ``[n]``, None for instances made by hand.
        excess: (left - right) / scale, the entry largest in absolute value ``[n]``.
            Computed unless given.
    """

    name: str
    form: str
    relation: str
    left: np.ndarray
    right: np.ndarray
    scale: np.ndarray
    assumptions: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    seeds: np.ndarray | None = None
    excess: np.ndarray | None = None

    def __post_init__(self):
        if self.excess is None:
            n = len(self.left)
            difference = np.reshape(self.left - self.right, (n, -1))
            worst = np.argmax(np.abs(difference), axis=1, keepdims=True)
            largest = np.take_along_axis(difference, worst, axis=1)[:, 0]
            size = np.maximum(self.scale, np.abs(self.left).reshape(n, -1).max(axis=1))
            excess = largest / np.maximum(size, np.finfo(np.float64).tiny)
            object.__setattr__(self, "excess", excess)

    @property
    def assumed(self) -> np.ndarray:
        """Whether all assumptions are met, ``[n]``."""
        everywhere = np.ones(len(self.left), dtype=bool)
        return np.all([everywhere, *self.assumptions.values()], axis=0)

    @property
    def violation(self) -> np.ndarray:
        """Amount by which the relation fails, relative to scale; 0 where it holds."""
        if self.relation == "==":
            return np.abs(self.excess)
        return np.maximum(self.excess, 0.0)

    @property
    def holds(self) -> np.ndarray:
        """Whether the relation holds to within `TOLERANCE`, ``[n]``."""
        if self.relation == "<":
            return self.excess < -TOLERANCE
        return self.violation <= TOLERANCE

    @property
    def counterexamples(self) -> np.ndarray:
        """Seeds of the instances that meet all assumptions and fail."""
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
        """Returns the statement's row in the table and in the JSON file."""
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


def concatenate(parts: list[Statement]) -> Statement:
    """Joins one form's statements on several groups of instances.

    Sides that are arrays become their norms, as their shapes differ between groups.
    """

    def joined(arrays):
        return np.concatenate(list(arrays))

    return dataclasses.replace(
        parts[0],
        left=joined(_magnitude(part.left) for part in parts),
        right=joined(_magnitude(part.right) for part in parts),
        scale=joined(part.scale for part in parts),
        assumptions={
            condition: joined(part.assumptions[condition] for part in parts)
            for condition in parts[0].assumptions
        },
        seeds=joined(part.seeds for part in parts),
        excess=joined(part.excess for part in parts),
    )


def _magnitude(side: np.ndarray) -> np.ndarray:
    """Returns scalar sides unchanged and the norms of sides that are arrays."""
    if side.ndim == 1:
        return side
    return np.sqrt(np.sum(side**2, axis=tuple(range(1, side.ndim))))
