"""The paper's empirical claims, and the verdicts of runs on them.

The rules were written before the runs in `saved_results/cpu` were looked at; shorter
runs on other sizes, in which some of the effects could be guessed, were known.
"""

from apps.claims.claim import Claim, Judgement, Rule, judge
from apps.claims.distributions import DISTRIBUTIONS
from apps.claims.smoothness import SMOOTHNESS
from apps.claims.training import TRAINING

CLAIMS = (*TRAINING, *DISTRIBUTIONS, *SMOOTHNESS)

# The paper does not say how the squared error of the DLN is reduced, so claims about
# it are judged under both of these.
REDUCTIONS = ("sum_mean", "sum_sum")

__all__ = ["CLAIMS", "REDUCTIONS", "Claim", "Judgement", "Rule", "judge", "judge_all"]


def judge_all(runs):
    """Returns the `Judgement` of every claim, those on the DLN under both reductions.

    Args:
        runs: A `apps.training.runs.RunSet`.
    """
    return [
        judge(claim, runs, reduction)
        for claim in CLAIMS
        for reduction in (REDUCTIONS if claim.network == "dln" else (None,))
    ]
