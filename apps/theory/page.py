"""The page of what was found, from the JSON files that the checks left."""

import json
import math
from collections.abc import Iterable
from pathlib import Path

from apps.theory.findings import FINDINGS

RANDOM_PROBLEMS = "theorems.json"
NETWORK = "network_"


def write_json(found: dict, path: Path) -> None:
    """Writes what a check found."""
    path.write_text(json.dumps(found, indent=1) + "\n")


def write_page(directory: Path) -> Path:
    """Writes README.md into the directory, from all JSON files there."""
    parts = ["# The theorems of the paper, checked on numbers\n"]
    theorems = directory / RANDOM_PROBLEMS
    if theorems.exists():
        found = json.loads(theorems.read_text())
        parts += _random_problems(found, directory)
    networks = [
        json.loads(path.read_text())
        for path in sorted(directory.glob(f"{NETWORK}*.json"))
    ]
    if networks:
        parts += _networks(networks)
    path = directory / "README.md"
    path.write_text("\n".join(parts))
    return path


def text_table(rows: list[dict]) -> str:
    """The results on random problems as a table for a terminal."""
    header = ("statement", "form", "", "instances", "satisfying", "fail", "violation")
    cells = [(*_cells(row)[:7], _verdict(row)) for row in rows]
    return _aligned([(*header, "verdict"), *cells])


def network_table(found: dict) -> str:
    """The terms of Theorem 4.1 by layer as a table for a terminal."""
    return _aligned([_NETWORK_HEADER, *map(_network_cells, found["layers"])])


def _random_problems(found: dict, directory: Path) -> Iterable[str]:
    sizes = ", ".join(map(str, found["batch_sizes"]))
    yield (
        f"`{found['command']}`: {found['instances']:,} random problems in "
        f"{found['seconds']} s ({found['device']}). Batch sizes {sizes}; losses: "
        f"{', '.join(found['losses'])}; sigma from 0.01 to 100, |gamma| from 0.1 to "
        "10. "
        "Left sides come from automatic differentiation in float64 through the batch "
        "normalization, right sides from the paper's formulas. *Holds with equality* "
        f"means to {found['tolerance']:g} of the largest term.\n"
    )
    yield "## What was found\n"
    for title, text in FINDINGS:
        yield f"**{title}.** {text}\n"
    yield "## Every form\n"
    yield _markdown(
        (
            "statement",
            "form",
            "relation",
            "instances",
            "satisfy the assumptions",
            "of these fail",
            "largest violation",
            "fail without the assumptions",
            "verdict",
        ),
        [
            (*_cells(row), f"{row['failures_without_assumptions']:,}", _verdict(row))
            for row in found["results"]
        ],
    )
    yield _assumptions(found["results"])
    yield "## Shortest counterexamples\n"
    yield (
        "A batch of three, y = (-1, 0, 1) except where X is given, so mu = 0, "
        "sigma² = 2/3, ŷ = √(3/2) (-1, 0, 1); beta = 0. The statement claims "
        "left ≤ right.\n"
    )
    yield _markdown(
        ("statement", "form", "instance", "left", "right"),
        [
            (
                one["name"],
                one["form"],
                one["instance"],
                f"{_rounded(one['left']):.4g}",
                f"{_rounded(one['right']):.4g}",
            )
            for one in found["counterexamples"]
        ],
    )
    yield "## Left side against right side\n"
    for path in sorted(directory.glob("*.png")):
        if not path.name.startswith(NETWORK):
            yield f"![{path.stem}]({path.name})\n"


def _assumptions(rows: list[dict]) -> str:
    """How often each single condition of each conditional form is met."""
    return _markdown(
        ("statement", "form", "how many problems meet each condition"),
        [
            (
                row["statement"],
                row["form"],
                "; ".join(
                    f"{name}: {met:,}" for name, met in row["assumptions"].items()
                ),
            )
            for row in rows
            if row["assumptions"]
        ],
    )


def _networks(networks: list[dict]) -> Iterable[str]:
    yield "## Trained networks\n"
    yield (
        "For each batch normalization layer: all its units, sums over them. "
        "|∇_y L̂|² / |∇_z L|² = scale · (1 - mean share - inner share); *scale* is "
        "gamma²/sigma² as the gradient meets it, the shares are the mean-gradient and "
        "the inner-product term of Theorem 4.1 over |∇_z L|², about 1/m each if the "
        "gradient's entries were independent noise. Then how many units meet the "
        "conditions of Theorem 4.2 and for how many its conclusions hold, the last "
        "four columns of those whose second derivatives were measured.\n"
    )
    yield (
        "Two things follow from the next normalization. Where a linear layer lies in "
        "between, a shift of z_j changes nothing: ⟨1, g_j⟩ = 0, and the mean-gradient "
        "term vanishes. With a ReLU in between too, scaling all z_j together changes "
        "nothing: Σ_j ⟨z_j, g_j⟩ = 0 up to epsilon. *Balance* is that sum over the "
        "sum of absolute values. In a linear network it is Σ_j gamma_j ⟨ŷ_j, g_j⟩, so "
        "that ⟨ŷ_j, g_j⟩ > 0 cannot hold for all units of a layer.\n"
    )
    for found in networks:
        yield f"### {found['run']}\n"
        yield f"{_network_sentence(found)}\n"
        yield _markdown(_NETWORK_HEADER, map(_network_cells, found["layers"]))
        yield f"![{found['run']}]({NETWORK}{found['run']}.png)\n"


def _network_sentence(found: dict) -> str:
    layers = found["layers"]
    worst = max(row["theorem_4_1_violation"] for row in layers)
    worst_second = max(row["theorem_4_2_violation"] for row in layers)
    logs = found["log_smoothing"]
    total = sum(logs.values())
    shares = ", ".join(
        f"{label} {round(100 * logs[key] / total) + 0:+d} %"
        for key, label in (
            ("scale", "gamma²/sigma²"),
            ("mean", "the mean gradient"),
            ("inner", "the inner product"),
        )
    )
    flags = " ".join(f"--{name}={value}" for name, value in found["flags"].items())
    factor = math.exp(total / len(layers))
    return (
        f"Trained with `{flags}`. {found['samples']} samples of the training data, "
        "training mode, float64. Both theorems hold as equalities with Keras's "
        f"epsilon: largest relative violation {worst:.1e} for 4.1, {worst_second:.1e} "
        "for 4.2. "
        f"|∇_y L̂|² is {factor:.2f} times |∇_z L|² (geometric mean over the layers); "
        f"of the logarithm of that {shares}."
    )


_NETWORK_HEADER = (
    "layer",
    "units",
    "m",
    "median sigma",
    "scale",
    "mean share",
    "inner share",
    "1/m",
    "all",
    "balance",
    "<y_hat, g> >= 0",
    "|v| <= |g|",
    "g'Hg, v'Hv >= 0",
    "order kept",
    "4.2 second part",
    "more predictive",
)


def _network_cells(row: dict) -> tuple[str, ...]:
    def counts(of, *names):
        return [f"{row[name]}/{row[of]}" for name in names]

    return (
        row["layer"],
        str(row["units"]),
        str(row["m"]),
        f"{row['sigma_median']:.3g}",
        f"{row['scale']:.3g}",
        f"{row['mean_share']:.2%}",
        f"{row['inner_share']:.2%}",
        f"{1 / row['m']:.2%}",
        f"{row['smoothing']:.3g}",
        f"{row['balance']:+.1e}",
        *counts("units", "inner_product_nonnegative", "v_shorter_than_g"),
        *counts(
            "curvature_units",
            "curvature_nonnegative",
            "order_preserved",
            "second_part_holds",
            "more_predictive",
        ),
    )


def _cells(row: dict) -> tuple[str, ...]:
    return (
        row["statement"],
        row["form"],
        row["relation"],
        f"{row['instances']:,}",
        f"{row['satisfying']:,}",
        f"{row['failures']:,}",
        f"{row['largest_violation']:.1e}",
    )


def _verdict(row: dict) -> str:
    if row["counterexample_seed"] is None:
        return row["verdict"]
    return f"{row['verdict']}, seed {row['counterexample_seed']}"


def _rounded(value: float) -> float:
    """Zero for what is zero but for rounding."""
    return 0.0 if abs(value) < 1e-12 else value


def _markdown(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped) + "\n"


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )
