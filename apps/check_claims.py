"""Judges the paper's empirical claims on runs and prints the ledger.

    python -m apps.check_claims saved_results/cpu

The rules stand in `apps/claims`. `apps.reproduce` makes the runs, and a page
with ledger and figures.
"""

from apps import program
from apps.claims import judge_all
from apps.report import ledger
from apps.training.runs import read_runs


def main(paths):
    """Prints the ledger of one folder of runs."""
    if len(paths) != 1:
        raise ValueError(
            f"pass one folder of run directories; received {len(paths)}: "
            "python -m apps.check_claims saved_results/cpu."
        )
    runs = read_runs(paths[0])
    for line in runs.problems:
        print(f"Left out: {line}")
    judgements = judge_all(runs)
    print(ledger.text_table(judgements))
    counts = ledger.counts(judgements).items()
    print(", ".join(f"{count} {verdict}" for verdict, count in counts) + ".")


if __name__ == "__main__":
    program.run(main, takes_paths=True)
