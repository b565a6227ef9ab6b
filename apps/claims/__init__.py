"""The paper's empirical claims, and how runs decide them.

The rules were fixed before the runs in `saved_results/cpu` were examined. Shorter runs
at other sizes, which already hinted at some of the effects, were known by then.
"""

from apps.claims.claim import Claim, Judgement, Rule, judge
from apps.claims.distributions import DISTRIBUTIONS
from apps.claims.smoothness import SMOOTHNESS
from apps.claims.training import TRAINING

CLAIMS = (*TRAINING, *DISTRIBUTIONS, *SMOOTHNESS)

__all__ = ["CLAIMS", "Claim", "Judgement", "Rule", "judge", "judge_all"]


def judge_all(runs):
    """Judges every claim on a `RunSet`; returns a list of `Judgement`."""
    return [judge(claim, runs) for claim in CLAIMS]
