"""Trains a grid of runs: norms x learning rates x seeds.

    python -m apps.sweep --norms=none,bn,l1 --learning_rates=0.01,0.1,1 --seeds=3
    python -m apps.sweep --network=dln --norms=none,bn --learning_rates=1e-7,1e-6,1e-5
    python -m apps.sweep --engine=ray --ray_gpus=0.5 --output=/shared/sweep
    python -m apps.sweep --run_flags="--dataset=digits --depth=11 --width=8 --steps=200"

Each run has an ordinary run directory. A run that fails or diverges does not stop the
others, but the exit code is then 1; rerun the same command to make only the missing
ones. The sweep writes `OUTPUT/grid.csv` and `OUTPUT/grid.png`.
"""

import itertools
from collections import Counter
from pathlib import Path

from absl import flags

from apps import program
from apps.engines import local, ray_cluster
from apps.engines.local import Job
from apps.errors import UserError
from apps.figures.learning_rates import draw_learning_rates
from apps.report.grid import grid_row, write_grid
from apps.settings import NETWORKS, VGG_NORMS
from apps.training.run_flags import check_run_flags, split_run_flags
from keras_bnsmooth.plots.drawing import save

FLAGS = flags.FLAGS

# Flags of a run that the sweep sets.
_OURS = ("norm", "learning_rate", "seed", "workdir")

flags.DEFINE_enum("network", "vgg", NETWORKS, "Network to train.")
flags.DEFINE_list("norms", ["none", "bn"], f"Some of {', '.join(VGG_NORMS)}.")
flags.DEFINE_list("learning_rates", ["0.1"], "Positive numbers.")
flags.DEFINE_integer("seeds", 1, "Seeds per setting, from 0.", lower_bound=1)
flags.DEFINE_string("run_flags", "", "Additional flags of every run, as one string.")
flags.DEFINE_string("output", "runs/sweep", "Folder of the run directories.")
flags.DEFINE_enum(
    "engine", "local", ["local", "ray"], "Where to run: this machine or a Ray cluster."
)
flags.DEFINE_integer("jobs", 1, "Concurrent runs on this machine.", lower_bound=1)
flags.DEFINE_string("ray_address", None, "Ray cluster; defaults to this machine's.")
flags.DEFINE_integer("ray_cpus", 1, "Cores per run, for Ray.", lower_bound=1)
flags.DEFINE_float("ray_gpus", 0.0, "GPUs per run, for Ray.", lower_bound=0.0)


def plan():
    """Returns the grid, a dict from the name of each run to its flags.

    Raises:
        UserError: A flag has an invalid value.
    """
    if not FLAGS.norms or set(FLAGS.norms) - set(VGG_NORMS):
        raise UserError(
            f"--norms={','.join(FLAGS.norms)}; pass some of {', '.join(VGG_NORMS)}."
        )
    taken = [
        flag
        for flag in split_run_flags(FLAGS.run_flags)
        if flag.lstrip("-").partition("=")[0] in _OURS
    ]
    if taken:
        raise UserError(
            f"--run_flags has {taken[0]}, which the sweep sets; use --norms, "
            "--learning_rates, --seeds and --output."
        )
    rates = [_positive(rate) for rate in FLAGS.learning_rates]
    grid = itertools.product(FLAGS.norms, rates, range(FLAGS.seeds))
    return {
        f"{FLAGS.network}_{norm}_lr{rate:g}_seed{seed}": {
            "norm": norm,
            "learning_rate": rate,
            "seed": seed,
        }
        for norm, rate, seed in grid
    }


def _positive(text):
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise UserError(f"--learning_rates has {text!r}; pass positive numbers.")
    return rate


def arguments(name, run_flags, folder):
    """Returns a run's command as a list, without the Python interpreter."""
    return [
        "-m",
        f"apps.train_{FLAGS.network}",
        *(f"--{flag}={value}" for flag, value in run_flags.items()),
        *split_run_flags(FLAGS.run_flags),
        f"--workdir={folder / name}",
    ]


def check_flags_of_runs(job):
    """Raises a UserError if the program of a job does not accept its flags."""
    program_flags = [*job.arguments, "--only_check_args"]
    mistake = local.follow(local.start(program_flags, threads=1))
    if mistake is not None:
        raise UserError(f'--run_flags="{FLAGS.run_flags}": {mistake}.')


def run(jobs, done):
    """Runs jobs on the selected engine; returns the `Outcome`."""
    if FLAGS.engine == "local":
        return local.run_jobs(jobs, FLAGS.jobs, done_minutes=done)
    return ray_cluster.run_jobs(
        jobs, FLAGS.ray_address, FLAGS.ray_cpus, FLAGS.ray_gpus, done_minutes=done
    )


def main():
    """Makes the missing runs, then writes the table and figure of all runs."""
    grid = plan()
    # Absolute, since the nodes of a cluster work in other directories.
    folder = Path(FLAGS.output).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    check_run_flags(folder, FLAGS.run_flags)
    missing = [name for name in grid if not (folder / name / "result.json").exists()]
    print(f"{len(grid)} runs in {folder}, {len(grid) - len(missing)} of them finished.")
    jobs = [Job(name, arguments(name, grid[name], folder), 1) for name in missing]
    if jobs and FLAGS.run_flags:
        check_flags_of_runs(jobs[0])
    outcome = run(jobs, done=len(grid) - len(missing))
    rows = [
        grid_row(folder / name, run_flags, outcome.failed.get(name, ""))
        for name, run_flags in grid.items()
    ]
    write_grid(folder / "grid.csv", rows)
    save(draw_learning_rates(rows), folder / "grid.png")
    ended_otherwise = [row for row in rows if row["status"] != "finished"]
    for row in ended_otherwise:
        print(f"{row['run']}: {row['status']}. {row['message']}")
    print(f"{folder / 'grid.csv'} and {folder / 'grid.png'} show all {len(rows)} runs.")
    if ended_otherwise:
        counts = Counter(row["status"] for row in ended_otherwise)
        how = ", ".join(f"{count} {status}" for status, count in counts.items())
        raise UserError(
            f"{len(ended_otherwise)} of {len(rows)} runs did not finish ({how}); "
            "rerun the same command to try those that failed again."
        )


if __name__ == "__main__":
    program.run(main, resumable=True)
