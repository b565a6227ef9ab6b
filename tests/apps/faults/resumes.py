"""Damages what a stopped or finished run left behind, and starts it again."""

import random
import shutil

from tests.apps.faults import digits
from tests.apps.faults.files import damage_file


def try_resume(seed, folder, reference):
    """Damages a file of a run and starts the run again.

    Args:
        seed: Of the damage.
        folder: An empty folder.
        reference: A `digits.Reference`.

    Returns:
        What was done, and `"equal"`, `"one line"` or what else happened.
    """
    rng = random.Random(f"resume {seed}")
    state = rng.choice(("stopped", "finished"))
    run = folder / "run"
    shutil.copytree(reference.folders[state], run)
    files = sorted(path for path in run.iterdir() if path.is_file())
    path = rng.choice([path for path in files if path.name != "training_curves.png"])
    what = f"{state} run, {damage_file(rng, path)}"
    ended = digits.train(folder)
    if ended.finding() != "finished":
        return what, ended.finding()
    # What a finished run left is not made again, nor read if nobody needs it.
    without = path.name if state == "finished" else None
    return what, digits.difference(run, reference.contents, without)
