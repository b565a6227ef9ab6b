"""The paper's empirical claims, and how runs decide them.

The rules were committed before the first of the runs that they judge was started. An
earlier set of runs, judged by other rules, and trial runs of up to 1,000 steps had been
looked at by then; they judge nothing.
"""

from apps.claims.claim import Claim, Judgement, Rule, judge
from apps.claims.covariate_shift import COVARIATE_SHIFT
from apps.claims.distributions import DISTRIBUTIONS
from apps.claims.smoothness import SMOOTHNESS
from apps.claims.training import TRAINING

# The commit that fixed the rules.
RULES_REVISION = "89b850beb7cd3eaaf783ad153fd3facf2afe61d1"
CLAIMS = (*TRAINING, *DISTRIBUTIONS, *COVARIATE_SHIFT, *SMOOTHNESS)

__all__ = [
    "CLAIMS",
    "RULES_REVISION",
    "Claim",
    "Judgement",
    "Rule",
    "judge",
    "judge_all",
]


def judge_all(runs):
    """Judges every claim on a `RunSet`; returns a list of `Judgement`."""
    return [judge(claim, runs) for claim in CLAIMS]
