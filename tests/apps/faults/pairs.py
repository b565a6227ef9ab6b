"""Starts two runs with different flags in one directory at the same time."""

import random
import time

from tests.apps.faults import digits


def try_pair(seed, folder, reference):
    """Starts two runs at once; one of them must be refused, and the other be equal.

    Args:
        seed: Of the time between the two, which is 0 for every second seed.
        folder: An empty folder.
        reference: A `digits.Reference`.

    Returns:
        What was done, and `"equal"` or what else happened.
    """
    seconds = random.Random(f"pair {seed}").choice((0, 1)) * (seed % 10) / 5
    what = f"{seconds} s apart"
    first = digits.start(folder)
    time.sleep(seconds)
    second = digits.start(folder, "--test_every=12")
    ended = first.wait(), second.wait()
    findings = [one.finding() for one in ended]
    if sorted(findings) != ["finished", "one line"]:
        return what, " and ".join(findings)
    refused = ended[findings.index("one line")].output
    if "in use by another process" not in refused and "holds a run with" not in refused:
        return what, f"refused with {refused}"
    if findings[0] != "finished":
        # Its rows of tests are others; the rest of the reference holds for both.
        return what, "equal" if digits.train(
            folder, "--test_every=12"
        ).code == 0 else "?"
    return what, digits.difference(folder / "run", reference.contents)
