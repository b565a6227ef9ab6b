"""The paper's theory, executable: each statement as a function of a problem.

    from keras import ops
    from apps.theory import Problem, theorem_4_1

    problem = Problem(y=[0.0, 1.0, 3.0], gamma=2.0, loss=lambda u: ops.sum(u**4, -1))
    statement = theorem_4_1.equality(problem)
    statement.left, statement.right, statement.holds

Section 4.1's setup is `Problem`; a `Statement` has the two sides and the assumptions.
"""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "the theorems need the TensorFlow backend of Keras; KERAS_BACKEND is "
        f"{keras.backend.backend()!r}, set it to 'tensorflow'."
    )

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
from apps.theory.problem import MeasuredUnit, Problem, Unit
from apps.theory.statement import TOLERANCE, Statement

__all__ = [
    "TOLERANCE",
    "MeasuredUnit",
    "Problem",
    "Statement",
    "Unit",
    "fact_c_1",
    "fact_c_2",
    "lemma_4_5",
    "observation_4_3",
    "theorem_4_1",
    "theorem_4_2",
    "theorem_4_4",
    "theorem_c_1",
]
