"""Damages the files of a run directory, and sees what everything that reads one says.

    python -m tests.apps.faults.damages --count=1000 --seed=0

A reader may work, or say in one line what is wrong; anything else is a failure.
"""

import argparse
import collections
import contextlib
import io
import json
import random
import shutil
import tempfile
from pathlib import Path

from apps import compare_runs
from apps.errors import UserError
from apps.figures.training_curves import draw_probe_figure, draw_training_curves
from apps.report.grid import grid_row
from apps.training.run_directory import RunDirectory
from apps.training.runs import read_runs
from tests.apps.run_directories import write_run

_FOREIGN = (
    *(None, True, 3, -1, 1e400, 2**70, "x", "", "NaN", "\u202e\x1b[31m"),
    *([], [1], {}, {"a": 1}, [[1, 2], [3]], ["a", "b"]),
)
_LINES = ("3\n", "[]\n", "{}\n", '"a"\n', '{"step": 1}\n', "\0\n")


def _mutated(rng, value):
    """Returns a JSON value with one part of it replaced or removed."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        if rng.random() < 0.2:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: _mutated(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.5:
        place = rng.randrange(len(value))
        return [*value[:place], _mutated(rng, value[place]), *value[place + 1 :]]
    return rng.choice(_FOREIGN)


def _mutate(rng, path):
    if path.suffix == ".json":
        path.write_text(json.dumps(_mutated(rng, json.loads(path.read_text()))))
        return
    lines = path.read_text().splitlines()
    place = rng.randrange(len(lines))
    lines[place] = json.dumps(_mutated(rng, json.loads(lines[place])))
    path.write_text("\n".join(lines) + "\n")


def _cut(rng, path):
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def _flip(rng, path):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)


def _replace_by_directory(rng, path):
    path.unlink()
    path.mkdir()


def _replace_by_dangling_link(rng, path):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


KINDS = {
    "mutate": _mutate,
    "mutate again": _mutate,
    "cut": _cut,
    "flip": _flip,
    "empty": lambda rng, path: path.write_bytes(b""),
    "noise": lambda rng, path: path.write_bytes(rng.randbytes(200)),
    "append": lambda rng, path: path.write_text(path.read_text() + rng.choice(_LINES)),
    "remove": lambda rng, path: path.unlink(),
    "directory": _replace_by_directory,
    "link": _replace_by_dangling_link,
}


def damage(rng, run):
    """Damages one file of a run; returns the kind of damage and the file's name."""
    kind = rng.choice(list(KINDS))
    path = rng.choice(sorted(run.glob("*.json*")))
    KINDS[kind](rng, path)
    return f"{kind} {path.name}"


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


def try_damage(seed, folder):
    """Damages a run in one way; returns a dict from (damage, reader) to outcome."""
    rng = random.Random(seed)
    folder = Path(folder)
    good = write_run(folder / "good", norm="l1")
    run = write_run(folder / "damaged", norm="bn")
    what = damage(rng, run)
    return {
        (what, name): outcome(read)
        for name, read in readers(run, good, folder / "picture.png").items()
    }


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
