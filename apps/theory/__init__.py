"""The paper's theory, executable: each statement as a function of a problem.

    from keras import ops
    from apps.theory import Problem, theorem_4_1

    problem = Problem(y=[0.0, 1.0, 3.0], gamma=2.0, loss=lambda u: ops.sum(u**4, -1))
    statement = theorem_4_1.equality(problem)
    statement.left, statement.right, statement.holds

A `Problem` is the setup of Section 4.1; a `Layer` adds the weights before it. A
`Statement` holds both sides of a claim and its assumptions.
"""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "the theorems need the TensorFlow backend of Keras; KERAS_BACKEND is "
        f"{keras.backend.backend()!r}, set it to 'tensorflow'."
    )

from apps.theory import (
    facts,
    lemma_4_5,
    observation_4_3,
    theorem_4_1,
    theorem_4_2,
    theorem_4_4,
    theorem_c_1,
)
from apps.theory.layer import Layer
from apps.theory.problem import MeasuredUnit, Problem, Unit
from apps.theory.statement import TOLERANCE, Statement

__all__ = [
    "TOLERANCE",
    "Layer",
    "MeasuredUnit",
    "Problem",
    "Statement",
    "Unit",
    "facts",
    "lemma_4_5",
    "observation_4_3",
    "theorem_4_1",
    "theorem_4_2",
    "theorem_4_4",
    "theorem_c_1",
]
