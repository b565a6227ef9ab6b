"""Passes wrong flags and wrong files to the programs."""

import io
import os
import random
import re
import sys
import zipfile

import numpy as np

from tests.apps.faults import digits, forks
from tests.apps.run_directories import write_run

# More would be a danger to the machine.
_MEGABYTES = 4000

_INTEGERS = (
    *("-1", "0", "x", "", "1e3", "1.5", "nan", "2147483648", "99999999999999999999999"),
)
_HUGE = ("100000", "1000000000000", str(2**62))
_FLOATS = ("x", "", "-1", "nan", "inf", "-inf", "1e400", "1e300", "1e-400")
_CHOICES = ("x", "", "BN", "none,bn", "0")
_BOOLEANS = ("maybe", "2", "")
_PATHS = (
    *("", ".", "/", "/dev/null", "/dev/null/run", "/proc/run", "/nowhere/run"),
    *("a" * 300, "\x1b[31mred", "line\nbreak", "run\udce8", "\u2713"),
    *("FOLDER/file", "FOLDER/file/run", "FOLDER/link", "FOLDER/full", "FOLDER/good"),
)
_TRAINING = {
    **dict.fromkeys(("steps", "metrics_every", "checkpoint_every", "seed"), _INTEGERS),
    **dict.fromkeys(("probe_every", "ics_every", "sharpness_every"), _INTEGERS[2:]),
    **dict.fromkeys(("norm", "xla", "strategy"), _CHOICES),
    "logical_cpus": _INTEGERS + _HUGE,
    "learning_rate": _FLOATS,
    "norm_after_centering": _BOOLEANS,
    "workdir": _PATHS,
}
# Programs, flags that make them quick, and wrong values of their flags.
_PROGRAMS = {
    "train_vgg": (
        (*digits.ARGUMENTS, "--steps=2", "--workdir=FOLDER/run"),
        _TRAINING
        | {
            "dataset": (*_PATHS, "cifar100", "FOLDER/file.npz", "FOLDER/link.npz"),
            "data_dir": _PATHS,
            "batch_size": (*_INTEGERS, *_HUGE),
            "width": (*_INTEGERS, *_HUGE),
            "depth": (*_INTEGERS, "12"),
            "augment": _BOOLEANS,
            "test_every": _INTEGERS,
        },
    ),
    "train_dln": (
        (
            *("--depth=2", "--dim=3", "--samples=20", "--steps=4", "--xla=off"),
            *("--norm=none", "--workdir=FOLDER/run"),
        ),
        _TRAINING
        | {
            **dict.fromkeys(("dim", "samples"), _INTEGERS + _HUGE),
            "depth": (*_INTEGERS, *_HUGE, "500"),
            "dtype": ("float16", "", "x"),
            "normalize_output": _BOOLEANS,
        },
    ),
    "compare_runs": (
        ("FOLDER/good", "--output=FOLDER/curves.png"),
        dict.fromkeys(("output", "landscape", "sharpness"), _PATHS),
    ),
    "check_claims": ((), {}),
    "reproduce": (
        ("--from=FOLDER",),
        {"from": _PATHS, "preset": _CHOICES, "network": _CHOICES, "jobs": ("0", "x")},
    ),
    "sweep": (
        ("--norms=none", "--output=FOLDER/sweep"),
        {
            "norms": (*_CHOICES[:3], "none,,bn"),
            "learning_rates": (*_FLOATS, "0.1,,1"),
            "seeds": ("x", "", "0", "-1"),
            "jobs": ("x", "", "0"),
            "network": _CHOICES,
            "engine": _CHOICES,
            "run_flags": ("'", "--norm=bn", "--seed=3"),
            "output": ("/dev/null", "FOLDER/file", "FOLDER/file/run", "FOLDER/link"),
        },
    ),
    "check_theorems": (
        ("--model=FOLDER/good", "--output=FOLDER/theory"),
        {
            "model": _PATHS,
            "output": ("/dev/null", "FOLDER/file", "FOLDER/file/run", "FOLDER/link"),
            **dict.fromkeys(("instances", "curvature_units"), ("0", "-1", "x", "")),
            "seed": ("-1", "x", ""),
        },
    ),
}
_OTHER = (
    *(
        "--nosuchflag",
        "--nosuchflag=1",
        "--step=3",
        "norm=bn",
        "--",
        "-",
        "--=",
        "--norm",
    ),
    *("--flagfile=FOLDER/nowhere", "--flagfile=FOLDER/noise", "--flagfile=FOLDER"),
    *("--flagfile=FOLDER/itself", "FOLDER", "FOLDER/good", "FOLDER/file"),
    *("--flagfile=FOLDER/full", "\x1b[31m", "\u2713", "\udce8"),
)


def try_flag(seed, folder, reference):
    """Runs a program with one wrong flag, argument or data set.

    Args:
        seed: Of the mistake.
        folder: An empty folder.
        reference: Not used.

    Returns:
        What was done, and `"finished"`, `"one line"` or what else happened.
    """
    rng = random.Random(f"flag {seed}")
    _prepare(rng, folder)
    name = rng.choice(("train_vgg", "train_dln", *_PROGRAMS))
    usual, wrong = _PROGRAMS[name]
    if name == "train_vgg" and rng.random() < 0.5:
        kind = rng.choice(list(_FILES))
        path = folder / "own.npz"
        _FILES[kind](rng, path)
        mistake = f"--dataset={path}"
        what = f"{name} on {kind}"
    elif wrong and rng.random() < 0.8:
        flag = rng.choice(list(wrong))
        mistake = f"--{flag}={rng.choice(wrong[flag])}"
        what = f"{name} {mistake}"
    else:
        mistake = rng.choice(_OTHER)
        what = f"{name} {mistake}"
    arguments = [
        argument.replace("FOLDER", str(folder)) for argument in (*usual, mistake)
    ]
    console = rng.choice(("utf-8", "utf-8", "ascii"))
    # What a program writes to a relative path stays in the folder.
    ended = forks.run(
        name,
        arguments,
        before=lambda: (os.chdir(folder), _use_console(console)),
    )
    what = f"{what!r} on a console of {console}"
    if ended.megabytes > _MEGABYTES:
        return what, f"{ended.megabytes:.0f} MB of memory; {ended.finding()}"
    if found := re.search(r"[^\n\t\x20-\x7e\u00a0-\uffff]", ended.output):
        return what, f"{found[0]!r} on the terminal; {ended.finding()}"
    return what, ended.finding()


def _use_console(encoding):
    for name, number in (("stdout", 1), ("stderr", 2)):
        file = open(number, "w", buffering=1, encoding=encoding, closefd=False)  # noqa: SIM115
        setattr(sys, name, file)


def _prepare(rng, folder):
    write_run(folder, norm="none", name="good")
    write_run(folder / "demo", norm="none")
    write_run(folder / "sweep", norm="none", name="vgg_none_lr0.1_seed0")
    (folder / "file").write_text("precious")
    (folder / "file.npz").write_text("no arrays")
    (folder / "noise").write_bytes(rng.randbytes(300) + b"\xe8")
    (folder / "itself").write_text(f"--flagfile={folder}/itself\n")
    (folder / "full").mkdir()
    (folder / "full" / "thesis.txt").write_text("precious")
    for name in ("link", "link.npz"):
        (folder / name).symlink_to(folder / "nowhere")


def _arrays(**changed):
    """Writes a small data set, with some of its arrays changed or left out (None)."""

    def write(rng, path):
        images = np.random.default_rng(rng.randrange(2**32))
        arrays = {
            "x_train": images.integers(0, 256, (20, 8, 8, 1), np.uint8),
            "y_train": np.arange(20) % 3,
            "x_test": images.integers(0, 256, (6, 8, 8, 1), np.uint8),
            "y_test": np.arange(6) % 3,
        }
        arrays |= changed
        arrays = {k: v for k, v in arrays.items() if v is not None}
        np.savez(path, **arrays)

    return write


def _labels(*last, dtype=np.int64):
    return np.array([0] * (20 - len(last)) + list(last), dtype)


def _damaged(change):
    """Writes the small data set and changes the bytes of the file."""

    def write(rng, path):
        _arrays()(rng, path)
        path.write_bytes(change(rng, bytearray(path.read_bytes())))

    return write


def _flip(rng, content):
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return content


def _describe_more(rng, path):
    """Writes an array whose header describes 8 TB."""
    header = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 1, 1, 1)}
    np.lib.format.write_array_header_1_0(header, described)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x_train.npy", header.getvalue() + b"\0" * 100)


def _compress_much(rng, path):
    """Writes an archive of which 1 MB becomes 1 GB."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("x_train.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(1000):
            member.write(b"\0" * 10**6)


_FILES = {
    "labels of 2**31": _arrays(y_train=_labels(2**31)),
    "labels of 2**64 - 1": _arrays(y_train=_labels(2**64 - 1, dtype=np.uint64)),
    "10**9 classes": _arrays(y_train=_labels(10**9)),
    "10**7 classes": _arrays(y_train=_labels(10**7)),
    "negative labels": _arrays(y_train=_labels(-1)),
    "labels that are floats": _arrays(y_train=_labels(1.5, dtype=float)),
    "labels that are text": _arrays(y_train=np.array(["cat"] * 20)),
    "too few labels": _arrays(y_train=np.zeros(3, int)),
    "labels of two dimensions": _arrays(y_train=np.zeros((20, 2), int)),
    "one label": _arrays(y_train=np.array(0)),
    "no labels": _arrays(y_test=None),
    "objects": _arrays(x_train=np.array([{}] * 20, dtype=object)),
    "no images": _arrays(x_train=np.zeros((0, 8, 8, 1)), y_train=np.zeros(0, int)),
    "images without pixels": _arrays(x_train=np.zeros((20, 0, 8, 1))),
    "images of other sizes": _arrays(x_test=np.zeros((6, 9, 8, 1))),
    "images of one dimension": _arrays(x_train=np.zeros((20, 64))),
    "images of 1 x 1": _arrays(
        x_train=np.zeros((20, 1, 1)), x_test=np.zeros((6, 1, 1))
    ),
    "NaN": _arrays(x_train=np.full((20, 8, 8, 1), np.nan)),
    "1e300": _arrays(x_train=np.full((20, 8, 8, 1), 1e300)),
    "complex images": _arrays(x_train=np.zeros((20, 8, 8, 1), complex)),
    "float16 images": _arrays(x_train=np.ones((20, 8, 8, 1), np.float16)),
    "booleans": _arrays(x_train=np.zeros((20, 8, 8, 1), bool)),
    "dates": _arrays(x_train=np.zeros((20, 8, 8, 1), "datetime64[s]")),
    "provenance": _arrays(provenance="\x1b[31m\x07 red\nline \u202e"),
    "provenance of objects": _arrays(provenance=np.array([{}], dtype=object)),
    "a long provenance": _arrays(provenance="a" * 10**5),
    "a cut file": _damaged(lambda rng, old: old[: rng.randrange(len(old))]),
    "a changed bit": _damaged(_flip),
    "another changed bit": _damaged(_flip),
    "an appended byte": _damaged(lambda rng, old: old + b"\0"),
    "an empty file": _damaged(lambda rng, old: b""),
    "noise": _damaged(lambda rng, old: rng.randbytes(500)),
    "a huge header": _describe_more,
    "an archive of zeros": _compress_much,
    "a folder": lambda rng, path: path.mkdir(),
    "a dangling link": lambda rng, path: path.symlink_to("nowhere"),
    "one array": lambda rng, path: np.save(open(path, "wb"), np.zeros(3)),  # noqa: SIM115
}
