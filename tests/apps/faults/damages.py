"""Damages the files of a run directory, and sees what everything that reads one says.

    python -m tests.apps.faults.damages --count=1000 --seed=0

A reader may work, or say in one line what is wrong; anything else is a failure.
"""

import argparse
import collections
import contextlib
import functools
import io
import json
import random
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np

from apps import check_claims, compare_runs
from apps.claims import judge_all
from apps.errors import UserError
from apps.figures.paper import FIGURES, MissingRunsError
from apps.figures.training_curves import draw_probe_figure, draw_training_curves
from apps.report import theorems
from apps.report.grid import grid_row
from apps.report.page import write_page
from apps.theory.trained_run import load_run
from apps.training import checkpoint
from apps.training.run_directory import RunDirectory
from apps.training.runs import RunSet, read_runs
from keras_bnsmooth.models import SquaredError, dln
from keras_bnsmooth.plots.drawing import save
from tests.apps.faults.files import damage_file
from tests.apps.run_directories import write_preset, write_run


def damage(rng, run):
    """Damages one file of a run; returns the kind of damage and the file's name."""
    return damage_file(rng, rng.choice(sorted(run.glob("*.json*"))))


def readers(run, good, picture):
    """Returns functions that read a damaged run next to a good one, by name."""
    config = json.loads((good / "config.json").read_text())
    flags = config["flags"]

    def read_all():
        for found in read_runs(run.parent).runs:
            for path in sorted(found.path.glob("*.jsonl")):
                found.record(path.stem)

    def curves():
        draw_training_curves(run, good, path=picture)
        compare_runs.print_last_rows([run, good])

    def resume():
        directory = RunDirectory(run, config, free_flags=("workdir",))
        directory.result()
        directory.restore_records(None, 40)

    return {
        "read_runs": read_all,
        "training curves": curves,
        "landscape": lambda: draw_probe_figure("landscape", run, good, path=picture),
        "sharpness": lambda: draw_probe_figure("sharpness", run, good, path=picture),
        "grid": lambda: grid_row(run, flags),
        "resume": resume,
    }


def outcome(function):
    """Returns "works", "one line", or what else happened."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            function()
    except (UserError, OSError) as error:
        # An operating system's error names its file and is shown as one line.
        several = isinstance(error, UserError) and len(str(error).splitlines()) != 1
        return f"several lines: {error}" if several else "one line"
    except ValueError as error:
        # `compare_runs` shows these in one line; they must be meant for a reader.
        named = any(part in str(error) for part in (".json", "norm", "run"))
        return "one line" if named else f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "works"


def _pair_of_runs(rng, folder):
    good = write_run(folder / "good", norm="l1")
    run = write_run(folder / "damaged", norm="bn")
    return damage(rng, run), readers(run, good, folder / "picture.png")


def _set_of_runs(rng, folder):
    """Runs of which all claims are judged and all figures drawn."""
    runs = write_preset(folder / "cpu")
    what = damage(rng, rng.choice(runs))
    figure = rng.choice(FIGURES)

    def claims():
        check_claims.main([str(folder / "cpu")])

    def report():
        found = read_runs(folder / "cpu")
        write_page(
            folder / "report.html",
            title="",
            command="",
            runs=found,
            judgements=judge_all(found),
            figures=[],
        )
        with contextlib.suppress(MissingRunsError):
            save(figure.draw(found), folder / "figure.png")
            figure.caption(found)

    return what, {"check_claims": claims, "reproduce": report}


def _theorems(rng, folder):
    """What `check_theorems` has written and reads again, as `reproduce` does."""
    theory = shutil.copytree(_THEORY, folder / "theory")
    what = damage_file(rng, rng.choice(sorted(theory.glob("*.json"))))
    runs = RunSet([])

    def report():
        write_page(
            folder / "report.html",
            title="",
            command="",
            runs=runs,
            judgements=judge_all(runs),
            figures=[],
            theorems=theorems.read_theorems(theory),
        )

    return what, {
        "check_theorems": lambda: theorems.write_page(theory),
        "reproduce": report,
    }


def _trained_run(rng, folder):
    """A run whose model and checkpoint are read again."""
    run = shutil.copytree(_trained()[0], folder / "trained")
    names = ("config.json", "model.keras", "checkpoint.npz", "checkpoint.npz")
    what = damage_file(rng, run / rng.choice(names))

    def load():
        _, model, _ = load_run(run)
        _check_same(model, "model.keras")

    def restore():
        model = _trained()[1]
        for variable in model.variables:
            variable.assign(keras.ops.zeros_like(variable))
        records = checkpoint.restore(model, run / "checkpoint.npz")
        assert records == _RECORDS, "other records without a word"
        _check_same(model, "checkpoint.npz")

    return what, {"check_theorems --model": load, "resume": restore}


_THEORY = Path(__file__).parents[3] / "saved_results" / "theory"
_RECORDS = {"metrics.jsonl": [3, "abc"]}


@functools.cache
def _trained():
    """Returns the directory of a small trained run, its model and its weights."""
    folder = Path(tempfile.mkdtemp())
    flags = {"samples": 20, "dim": 3, "depth": 2, "seed": 0, "dtype": "float32"}
    config = {"flags": flags | {"norm": "bn", "steps": 2, "learning_rate": 0.1}}
    (folder / "config.json").write_text(json.dumps(config))
    model = dln(depth=2, dim=3, norm="bn", seed=0)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), SquaredError())
    model.optimizer.build(model.trainable_variables)
    model.save(folder / "model.keras")
    checkpoint.save(model, folder / "checkpoint.npz", _RECORDS)
    return folder, model, model.get_weights()


def _check_same(model, name):
    same = map(np.array_equal, model.get_weights(), _trained()[2])
    assert all(same), f"other weights than in {name} without a word"


_SCENES = (_pair_of_runs, _set_of_runs, _theorems, _trained_run)


def try_damage(seed, folder):
    """Damages a run in one way; returns a dict from (damage, reader) to outcome."""
    rng = random.Random(seed)
    what, programs = _SCENES[seed % len(_SCENES)](rng, Path(folder))
    return {(what, name): outcome(read) for name, read in programs.items()}


def main():
    """Prints how often each outcome occurred, and the damages that failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = collections.Counter()
    for seed in range(options.seed, options.seed + options.count):
        folder = tempfile.mkdtemp()
        for (what, reader), found in try_damage(seed, folder).items():
            known = found in ("works", "one line")
            counts[found if known else "failed"] += 1
            if not known:
                print(f"seed {seed}, {what}, {reader}: {found}", flush=True)
        shutil.rmtree(folder)
    print(dict(counts))


if __name__ == "__main__":
    main()
