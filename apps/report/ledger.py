"""Formats the judgements of the claims, for the terminal and the report page."""

import numpy as np

from apps.claims.claim import BORNE_OUT, NOT_BORNE_OUT, UNDECIDED

# Legible without colour.
SIGNS = {BORNE_OUT: "✓", NOT_BORNE_OUT: "✗", UNDECIDED: "?"}


def value_text(judgement):
    """Formats our value and its spread, such as `1.8 x (1.6 to 2.1, 3 seeds)`."""
    return spread_text(list(judgement.values.values()), judgement.claim.unit)


def spread_text(values, unit):
    """Formats the median of values, one per seed, with its unit and their range."""
    if not values:
        return "not measured"
    if len(values) == 1:
        return f"{_with_unit(values[0], unit)} (one seed)"
    median = _with_unit(np.median(values), unit)
    low, high = map(number, (min(values), max(values)))
    return f"{median} ({low} to {high}, {len(values)} seeds)"


def _with_unit(value, unit):
    return f"{number(value)} {unit}".strip()


def number(value):
    """Formats a number with three significant digits."""
    if not np.isfinite(value):
        return {np.inf: "infinite", -np.inf: "-infinite"}.get(value, "undefined")
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}"
    return f"{float(f'{value:.3g}'):,g}"


def counts(judgements):
    """Counts the judgements of each verdict; returns a dict."""
    verdicts = [judgement.verdict for judgement in judgements]
    return {verdict: verdicts.count(verdict) for verdict in SIGNS}


def text_table(judgements):
    """Formats all judgements as a table for the terminal."""
    rows = [
        (
            f"{SIGNS[judgement.verdict]} {judgement.verdict}",
            judgement.claim.name,
            value_text(judgement) if judgement.values else f"lacks {judgement.lacking}",
            str(judgement.claim.rule),
        )
        for judgement in judgements
    ]
    rows = [("verdict", "claim", "ours", "rule"), *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
