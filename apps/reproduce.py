"""Reproduces the paper: makes the runs, draws the figures and writes the report.

    python -m apps.reproduce                        # everything in small, in minutes
    python -m apps.reproduce --preset=cpu --jobs=2  # hours on two CPU cores
    python -m apps.reproduce --from=saved_results   # figures and report only, no runs

Finished runs are kept and stopped runs resume, so the command can be stopped and rerun
at any time. The runs of a preset are in `OUTPUT/PRESET`, figures and report in
`OUTPUT/PRESET_report`.
"""

from pathlib import Path

from absl import flags

from apps import program
from apps.claims import judge_all
from apps.engines.local import Job, run_jobs
from apps.errors import UserError, user_errors
from apps.figures.paper import FIGURES, MissingRunsError
from apps.report import ledger
from apps.report.page import DrawnFigure, write_page
from apps.report.theorems import read_theorems
from apps.settings import NETWORKS
from apps.training.presets import PRESETS
from apps.training.run_flags import check_run_flags, split_run_flags
from apps.training.runs import read_runs
from keras_bnsmooth.plots.drawing import save

FLAGS = flags.FLAGS

flags.DEFINE_enum("preset", "demo", list(PRESETS), "Set of runs to make.")
flags.DEFINE_string("output", "runs", "Folder for runs, figures and report.")
flags.DEFINE_string(
    "from", None, "Make no runs; use those in this --output of an earlier command."
)
flags.DEFINE_enum("network", "all", ["all", *NETWORKS], "Networks to train.")
flags.DEFINE_integer("jobs", 1, "Concurrent runs.", lower_bound=1)
flags.DEFINE_float("minutes", None, "Time limit for making runs.", lower_bound=0.0)
flags.DEFINE_string(
    "run_flags", "", "Additional flags of every run, such as '--width=4 --steps=60'."
)


def make_runs(preset, folder):
    """Makes the missing runs of a preset; returns the `Outcome`."""
    runs = [run for run in preset.runs if FLAGS.network in ("all", run.network)]
    there = [run for run in runs if (folder / run.name / "result.json").exists()]
    missing = [run for run in runs if run not in there]
    minutes = sum(run.minutes for run in missing) / FLAGS.jobs
    print(
        f"{preset.name}: {len(runs)} runs in {folder}, {len(there)} of them finished. "
        f"The others take about {minutes / 60:.1f} hours on {preset.where} and need "
        f"{preset.needs}.",
        flush=True,
    )
    more = split_run_flags(FLAGS.run_flags)
    jobs = [Job(run.name, run.arguments(folder) + more, run.minutes) for run in missing]
    return run_jobs(jobs, FLAGS.jobs, sum(run.minutes for run in there), FLAGS.minutes)


def draw_figures(preset, runs, folder, output):
    """Draws the figures; names the command that makes the runs a figure lacks."""
    drawn = []
    for figure in FIGURES:
        name = f"Figure {figure.number}"
        path = output / f"figure_{figure.number:02d}.png"
        try:
            save(figure.draw(runs), path)
            drawn.append(DrawnFigure(name, figure.title, figure.caption(runs), path))
        except MissingRunsError as error:
            path.unlink(missing_ok=True)
            problem = _with_commands(error, preset, folder)
            print(f"{name} is not drawn: {problem}")
            drawn.append(DrawnFigure(name, figure.title, "", None, problem))
    return drawn


def _with_commands(error, preset, folder):
    """The error with the first command that makes a missing run."""
    commands = [
        f"{run.command(folder)} {FLAGS.run_flags}".strip()
        for setting, norm in error.missing
        for run in preset.runs
        if run.belongs_to(setting, norm)
    ]
    if not commands:
        return f"{error}, which the preset {preset.name} does not include"
    return f"{error}; first `{commands[0]}`"


def report(preset, folder):
    """Reads the runs, draws the figures, judges the claims and writes the page."""
    with user_errors():
        runs = read_runs(folder)
        theorems = read_theorems(folder.parent / "theory")
    for line in runs.problems:
        print(f"Left out: {line}")
    output = folder.with_name(f"{folder.name}_report")
    output.mkdir(parents=True, exist_ok=True)
    figures = draw_figures(preset, runs, folder, output)
    judgements = judge_all(runs)
    print(ledger.text_table(judgements))
    page = output / "report.html"
    write_page(
        page,
        title=f"How does batch normalization help optimization? ({preset.name})",
        command=program.command_line(),
        runs=runs,
        judgements=judgements,
        figures=figures,
        theorems=theorems,
    )
    counts = ledger.counts(judgements).items()
    print(", ".join(f"{count} {verdict}" for verdict, count in counts) + ".")
    print(f"{page} is the report.")


def main():
    """Makes the runs, unless there is `--from`, and reports on them."""
    source = FLAGS["from"].value
    if source is not None:
        folders = [
            (preset, Path(source) / preset.name)
            for preset in PRESETS.values()
            if (Path(source) / preset.name).is_dir()
        ]
        if not folders:
            raise UserError(
                f"--from={source} holds none of the folders {', '.join(PRESETS)}; pass "
                "the --output of an earlier command, such as saved_results."
            )
        for preset, folder in folders:
            report(preset, folder)
        return
    preset = PRESETS[FLAGS.preset]
    folder = Path(FLAGS.output) / preset.name
    folder.mkdir(parents=True, exist_ok=True)
    check_run_flags(folder, FLAGS.run_flags)
    outcome = make_runs(preset, folder)
    for name, line in outcome.failed.items():
        print(f"{name} failed: {line}")
    if outcome.left:
        print(f"{len(outcome.left)} runs are left; rerun the same command to resume.")
    report(preset, folder)


if __name__ == "__main__":
    program.run(main, resumable=True)
