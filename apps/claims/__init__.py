"""The paper's empirical claims, and the verdicts of runs on them.

The rules were written before the runs in `saved_results/cpu` were looked at; shorter
runs on other sizes, in which some of the effects could be guessed, were known.
"""

from apps.claims.claim import Claim, Judgement, Rule, judge
from apps.claims.distributions import DISTRIBUTIONS
from apps.claims.smoothness import SMOOTHNESS
from apps.claims.training import TRAINING
from apps.settings import REDUCTIONS

CLAIMS = (*TRAINING, *DISTRIBUTIONS, *SMOOTHNESS)

__all__ = ["CLAIMS", "Claim", "Judgement", "Rule", "judge", "judge_all"]


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
