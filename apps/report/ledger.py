"""The ledger of claims in words: for the terminal and for the page."""

import numpy as np

from apps.claims.claim import BORNE_OUT, NOT_BORNE_OUT, UNDECIDED
from apps.settings import REDUCTIONS

# Readable without colour.
SIGNS = {BORNE_OUT: "✓", NOT_BORNE_OUT: "✗", UNDECIDED: "?"}
REDUCTION_WORDS = {None: "", **REDUCTIONS}


def value_text(judgement):
    """Returns our figure with its spread, such as `1.8 (1.6 to 2.1, 3 seeds)`."""
    values = list(judgement.values.values())
    if not values:
        return "not measured"
    if len(values) == 1:
        return f"{number(values[0])} (one seed)"
    return (
        f"{number(np.median(values))} ({number(min(values))} to {number(max(values))}, "
        f"{len(values)} seeds)"
    )


def number(value):
    """Returns a number with three significant digits."""
    if not np.isfinite(value):
        return {np.inf: "infinite", -np.inf: "-infinite"}.get(value, "undefined")
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}"
    return f"{float(f'{value:.3g}'):,g}"


def counts(judgements):
    """Returns how many judgements there are of each verdict, as a dict."""
    return {
        verdict: sum(judgement.verdict == verdict for judgement in judgements)
        for verdict in SIGNS
    }


def hanging_on_reduction(judgements):
    """Returns the claims that are judged differently under the two reductions.

    Returns:
        List of (claim, dict from reduction to verdict).
    """
    verdicts = {}
    for judgement in judgements:
        if judgement.reduction is not None:
            of_claim = verdicts.setdefault(judgement.claim, {})
            of_claim[judgement.reduction] = judgement.verdict
    return [
        (claim, of_claim)
        for claim, of_claim in verdicts.items()
        if len(set(of_claim.values())) > 1
    ]


def text_table(judgements):
    """Returns the ledger as lines for a terminal."""
    rows = [
        (
            f"{SIGNS[judgement.verdict]} {judgement.verdict}",
            judgement.claim.name
            + (f" [{judgement.reduction}]" if judgement.reduction else ""),
            value_text(judgement) if judgement.values else f"lacks {judgement.lacking}",
            str(judgement.claim.rule),
        )
        for judgement in judgements
    ]
    header = ("verdict", "claim", "ours", "rule")
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(3)]
    return "\n".join(
        "  ".join(
            [*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]
        )
        for row in [header, *rows]
    )
