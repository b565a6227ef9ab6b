"""Kills a run at random times and at file operations, and starts it again."""

import os
import random
import signal

from tests.apps.faults import digits

_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def try_kill(seed, folder, reference):
    """Kills a run once or twice, then lets it end.

    Args:
        seed: Of the kills.
        folder: An empty folder.
        reference: A `digits.Reference`.

    Returns:
        What was done, and `"equal"` or what else happened.
    """
    rng = random.Random(f"kill {seed}")
    done = []
    for _ in range(rng.choice((1, 2))):
        number = rng.choice(_SIGNALS)
        if rng.random() < 0.5:
            seconds = rng.uniform(0, reference.seconds)
            done.append(f"{number.name} after {seconds:.1f} s")
            child = digits.start(folder)
            ended = child.wait(seconds)
            if ended is None:
                child.send(number)
                ended = child.wait()
        else:
            at = rng.randint(1, reference.operations)
            done.append(f"{number.name} at operation {at}")
            ended = digits.train(folder, on_operation=_kill_at(at, number))
        if problem := _problem(ended, number):
            return ", ".join(done), problem
    ended = digits.train(folder)
    if ended.finding() != "finished":
        return ", ".join(done), f"afterwards {ended.finding()}"
    return ", ".join(done), digits.difference(folder / "run", reference.contents)


def _kill_at(at, number):
    def kill(count, path):
        if count == at:
            os.kill(os.getpid(), number)

    return kill


def _problem(ended, number):
    """Returns what is wrong with how a run ended by a signal, or None."""
    if ended is None:
        return f"{number.name} does not end it"
    if ended.code in (0, -number) and "Traceback" not in ended.output:
        return None
    if ended.code == 130 and "Traceback" not in ended.output:
        last = ended.output.splitlines()[-1]
        if last == "Interrupted; rerun the same command to resume.":
            return None
    return f"{number.name} ends it with {ended.finding()}"
