"""The paper's figures, drawn only from the records of runs."""

# Importing these modules adds their figures to `paper.FIGURES`.
from apps.figures import (
    activations,
    ics,
    landscape,
    learning_rates,
    theory_diagram,
    training,
)

__all__ = [
    "activations",
    "ics",
    "landscape",
    "learning_rates",
    "theory_diagram",
    "training",
]
