"""Schedules: the training steps at which to probe.

Steps are weight updates, counted from 0 by `optimizer.iterations`; a probe at step t
sees the weights before update t. A schedule has one method, `next(step)`, which returns
the first step at or after `step` that is due, or None.
"""

import bisect
import math
import numbers
from collections.abc import Iterable
from typing import Any, Protocol


class Schedule(Protocol):
    """Anything that knows the next step due."""

    def next(self, step: int) -> int | None:
        """Returns the first step due at or after `step`, or None."""
        ...


def schedule(every: Any) -> Schedule:
    """Returns the schedule for a callback's argument `every`.

    Args:
        every: Positive integer N for every N steps; a list of steps; or a schedule.

    Raises:
        ValueError: `every` is none of these.
    """
    if isinstance(every, numbers.Integral) and not isinstance(every, bool):
        return EveryN(int(every))
    if callable(getattr(every, "next", None)):
        return every
    if isinstance(every, (str, bytes)) or not hasattr(every, "__iter__"):
        raise ValueError(
            "every must be a positive integer, a list of steps or a schedule such as "
            f"LogSpaced(); received {every!r}."
        )
    return AtSteps(every)


class EveryN:
    """Steps 0, n, 2 n, ...

    Args:
        n: Positive integer.

    Raises:
        ValueError: `n` is not a positive integer.
    """

    def __init__(self, n: int):
        if n < 1 or n != int(n):
            raise ValueError(f"every must be a positive number of steps; received {n}.")
        self.n = int(n)

    def next(self, step: int) -> int:
        """Returns the first step due at or after `step`."""
        return -(-step // self.n) * self.n


class AtSteps:
    """An explicit list of steps.

    Args:
        steps: Non-negative integers in any order.

    Raises:
        ValueError: The list is empty or holds anything else.
    """

    def __init__(self, steps: Iterable[int]):
        steps = list(steps)
        if not steps or any(s < 0 or s != int(s) for s in steps):
            raise ValueError(
                f"Steps to probe must be non-negative integers; received {steps}."
            )
        self.steps = sorted({int(s) for s in steps})

    def next(self, step: int) -> int | None:
        """Returns the first step due at or after `step`, or None."""
        position = bisect.bisect_left(self.steps, step)
        return self.steps[position] if position < len(self.steps) else None


class LogSpaced:
    """Step 0 and the integers nearest to 10^(k / per_decade), k = 0, 1, ...

    Args:
        per_decade: Positive integer, the number of steps per factor of ten.

    Raises:
        ValueError: `per_decade` is not a positive integer.
    """

    def __init__(self, per_decade: int = 10):
        if per_decade < 1 or per_decade != int(per_decade):
            raise ValueError(
                f"per_decade must be a positive integer; received {per_decade}."
            )
        self.per_decade = int(per_decade)

    def next(self, step: int) -> int:
        """Returns the first step due at or after `step`."""
        if step <= 0:
            return 0
        # Starts below the first candidate, because 10^(k / n) is rounded.
        k = max(0, math.floor(self.per_decade * math.log10(step)) - 1)
        while (due := round(10 ** (k / self.per_decade))) < step:
            k += 1
        return due


class Successive:
    """The steps of another schedule, each followed by the next step.

    For changes between two successive steps, as in figure 7 of the paper.

    Args:
        every: As a callback's argument `every`.
    """

    def __init__(self, every: Any):
        self.first = schedule(every)

    def next(self, step: int) -> int | None:
        """Returns the first step due at or after `step`, or None."""
        if step > 0 and self.first.next(step - 1) == step - 1:
            return step
        return self.first.next(step)
