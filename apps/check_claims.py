"""Judges the paper's empirical claims on a folder of runs and prints the verdicts.

    python -m apps.check_claims saved_results/cpu

`apps/claims` defines the rules. `apps.reproduce` trains the runs and writes a report
with verdicts and figures.
"""

from apps import program
from apps.claims import judge_all
from apps.errors import UserError, user_errors
from apps.report import ledger
from apps.training.runs import read_runs


def main(paths):
    """Prints the verdicts on one folder of runs."""
    if len(paths) != 1:
        raise UserError(
            f"pass one folder of run directories; received {len(paths)}: "
            "python -m apps.check_claims saved_results/cpu."
        )
    with user_errors():
        runs = read_runs(paths[0])
    for line in runs.problems:
        print(f"Left out: {line}")
    judgements = judge_all(runs)
    print(ledger.text_table(judgements))
    counts = ledger.counts(judgements).items()
    print(", ".join(f"{count} {verdict}" for verdict, count in counts) + ".")


if __name__ == "__main__":
    program.run(main, accepts_paths=True)
