"""A statement of the paper, evaluated: its two sides, instance by instance."""

import dataclasses

import numpy as np

TOLERANCE = 1e-10


@dataclasses.dataclass(frozen=True)
class Statement:
    """The left and the right side of a statement on n instances.

    Attributes:
        name: the statement's name in the paper, as "Theorem 4.1".
        form: which form of it: "as printed", or what was changed.
        relation: "==", "<=" or "<", how left is claimed to stand to right.
        left: ``[n]``, or ``[n, ...]`` for an equation between arrays. Always found
            by automatic differentiation or by solving the problem at hand, never by
            the formula on the right.
        right: the paper's formula, shaped like left.
        scale: ``[n]``, the size of the largest term on the right; differences are
            judged relative to it (or to left, if larger), because a side can be a
            small difference of large terms.
        assumptions: the statement's conditions by name, booleans ``[n]``.
    """

    name: str
    form: str
    relation: str
    left: np.ndarray
    right: np.ndarray
    scale: np.ndarray
    assumptions: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def assumed(self) -> np.ndarray:
        """Where every assumption holds, ``[n]``."""
        met = np.ones(len(self.left), dtype=bool)
        for condition in self.assumptions.values():
            met &= condition
        return met

    @property
    def excess(self) -> np.ndarray:
        """(left - right) / scale, the entry largest in absolute value, ``[n]``."""
        n = len(self.left)
        difference = np.reshape(self.left - self.right, (n, -1))
        worst = np.argmax(np.abs(difference), axis=1, keepdims=True)
        largest = np.take_along_axis(difference, worst, axis=1)[:, 0]
        size = np.maximum(self.scale, np.abs(self.left).reshape(n, -1).max(axis=1))
        return largest / np.maximum(size, np.finfo(np.float64).tiny)

    @property
    def violation(self) -> np.ndarray:
        """By how much the relation fails, relative to scale; 0 where it holds."""
        if self.relation == "==":
            return np.abs(self.excess)
        return np.maximum(self.excess, 0.0)

    @property
    def holds(self) -> np.ndarray:
        """Where the relation holds to `TOLERANCE`, ``[n]``."""
        if self.relation == "<":
            return self.excess < -TOLERANCE
        return self.violation <= TOLERANCE
