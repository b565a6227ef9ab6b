"""The theorems' page and tables, from the JSON files of `check_theorems`."""

from pathlib import Path

import jinja2
import numpy as np

from apps.json_objects import (
    is_count,
    is_dict,
    is_finite,
    is_number,
    is_positive,
    is_text,
    read_object,
    rows_of,
)

RANDOM_PROBLEMS = "theorems.json"
NETWORK = "network_"

# Columns of the tables: how each is formatted from a row of the JSON file.
_COLUMNS = {
    "forms": {
        "statement": "{statement}",
        "form": "{form}",
        "relation": "{relation}",
        "instances": "{instances:,}",
        "satisfying": "{satisfying:,}",
        "failing": "{failures:,}",
        "violation": "{largest_violation:.1e}",
        "failing otherwise": "{failures_without_assumptions:,}",
        "verdict": "{verdict}{seed}",
    },
    "conditions": {
        "statement": "{statement}",
        "form": "{form}",
        "problems that meet each condition": "{conditions}",
    },
    "counterexamples": {
        "statement": "{name}",
        "form": "{form}",
        "instance": "{instance}",
        "left": "{left:.4g}",
        "right": "{right:.4g}",
    },
    "layers": {
        "layer": "{layer}",
        "units": "{units}",
        "m": "{m}",
        "median sigma": "{sigma_median:.3g}",
        "scale": "{scale:.3g}",
        "mean share": "{mean_share:.2%}",
        "inner share": "{inner_share:.2%}",
        "1/m": "{noise_share:.2%}",
        "all": "{smoothing:.3g}",
        "balance": "{balance:+.1e}",
        "<y_hat, g> >= 0": "{inner_product_nonnegative}/{units}",
        "|v| <= |g|": "{v_shorter_than_g}/{units}",
        "g'Hg, v'Hv >= 0": "{curvature_nonnegative}/{curvature_units}",
        "order kept": "{order_preserved}/{curvature_units}",
        "4.2 second part": "{second_part_holds}/{curvature_units}",
        "more predictive": "{more_predictive}/{curvature_units}",
    },
}


_ORIGIN = {"command": is_text, "seconds": is_finite, "device": is_text}
# What the files of `check_theorems` hold, as far as the pages show it.
_RANDOM = _ORIGIN | {
    "instances": is_count,
    "tolerance": is_finite,
    "batch_sizes": lambda value: isinstance(value, list),
    "losses": lambda value: isinstance(value, list),
    "results": rows_of(
        {
            **dict.fromkeys(("statement", "form", "relation", "verdict"), is_text),
            **dict.fromkeys(
                (
                    "instances",
                    "satisfying",
                    "failures",
                    "failures_without_assumptions",
                ),
                is_count,
            ),
            "largest_violation": is_number,
            "assumptions": lambda value: (
                is_dict(value) and all(map(is_count, value.values()))
            ),
        }
    ),
    "counterexamples": rows_of(
        {
            **dict.fromkeys(("name", "form", "instance"), is_text),
            **dict.fromkeys(("left", "right"), is_number),
        }
    ),
}
_TRAINED = _ORIGIN | {
    "run": is_text,
    "flags": is_dict,
    "samples": is_count,
    "layers": rows_of(
        {
            "layer": is_text,
            "m": is_positive,
            **dict.fromkeys(
                (
                    "units",
                    "curvature_units",
                    "inner_product_nonnegative",
                    "v_shorter_than_g",
                    "curvature_nonnegative",
                    "order_preserved",
                    "second_part_holds",
                    "more_predictive",
                ),
                is_count,
            ),
            **dict.fromkeys(
                (
                    "sigma_median",
                    "scale",
                    "mean_share",
                    "inner_share",
                    "smoothing",
                    "balance",
                    "theorem_4_1_violation",
                    "theorem_4_2_violation",
                ),
                is_number,
            ),
        }
    ),
    "log_smoothing": lambda value: (
        is_dict(value)
        and value.keys() == {"scale", "mean", "inner"}
        and all(map(is_finite, value.values()))
    ),
}


def read_theorems(folder):
    """Returns the results of `check_theorems` on random problems, None without any.

    Args:
        folder: The folder with `theorems.json`.

    Raises:
        UserError: The file is damaged.
    """
    path = Path(folder) / RANDOM_PROBLEMS
    return read_object(path, _RANDOM, required=_RANDOM) if path.exists() else None


def write_page(folder):
    """Writes README.md into a folder, from all JSON files there; returns its path.

    Raises:
        UserError: A file is damaged.
    """
    folder = Path(folder)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("apps.report", "."),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    networks = [
        read_object(path, _TRAINED, required=_TRAINED)
        for path in sorted(folder.glob(f"{NETWORK}*.json"))
    ]
    pictures = sorted(path.stem for path in folder.glob("*.png"))
    text = environment.get_template("theorems.md").render(
        theorems=read_theorems(folder),
        networks=[found | _totals(found) for found in networks],
        pictures=[stem for stem in pictures if not stem.startswith(NETWORK)],
        table=_markdown_table,
    )
    path = folder / "README.md"
    path.write_text(text + "\n")
    return path


def text_table(kind, rows):
    """Returns a table for a terminal.

    Args:
        kind: `"forms"` for results on random problems, `"layers"` for those on the
            layers of a network.
        rows: List of rows of the JSON file.
    """
    cells = _cells(kind, rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (map(str.ljust, line, widths) for line in cells)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _markdown_table(kind, rows):
    header, *cells = _cells(kind, rows)
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        for line in lines
    )


def _cells(kind, rows):
    """Returns the header and the cells of all rows."""
    columns = _COLUMNS[kind]
    return [list(columns)] + [
        [template.format(**_with_words(row)) for template in columns.values()]
        for row in rows
    ]


def _with_words(row):
    """Returns a row with what its columns need in addition."""
    seed = row.get("counterexample_seed")
    conditions = row.get("assumptions", {}).items()
    # What differs from 0 by rounding alone is shown as 0.
    sides = {k: 0.0 for k in ("left", "right") if abs(row.get(k, 1.0)) < 1e-12}
    return {
        **row,
        **sides,
        "seed": "" if seed is None else f", seed {seed}",
        "conditions": "; ".join(f"{name}: {met:,}" for name, met in conditions),
        "noise_share": 1 / row.get("m", 1),
    }


def _totals(found):
    """Returns the numbers over all layers of a network."""
    layers, logs = found["layers"], found["log_smoothing"]
    total = sum(logs.values())
    share = 100 / total if total else 0.0
    return {
        "violations": [
            max(row[f"theorem_4_{part}_violation"] for row in layers) for part in (1, 2)
        ],
        "factor": float(np.exp(total / len(layers))),
        # "+ 0" turns -0 into 0.
        "percents": {key: round(share * log) + 0 for key, log in logs.items()},
    }
