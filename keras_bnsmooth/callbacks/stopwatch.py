"""How long training and measuring take, to keep probes within a budget of time."""

import contextlib
import math
import time
from collections.abc import Iterator


class Stopwatch:
    """Adds up the seconds of training and those of measurements.

    Call `tick` at each training step and `pause` when training ends; the time between
    ticks counts as training, less what `measurement` counts.
    """

    def __init__(self):
        self._tick: float | None = None
        self._total = 0.0  # seconds between ticks, measurements included
        self._measuring = 0.0
        self._last = 0.0  # seconds of the last measurement

    def tick(self) -> None:
        """Counts the time since the last tick, unless paused since."""
        now = time.perf_counter()
        if self._tick is not None:
            self._total += now - self._tick
        self._tick = now

    def pause(self) -> None:
        """Counts no time until the next tick."""
        self._tick = None

    @contextlib.contextmanager
    def measurement(self, continued: bool = False) -> Iterator[None]:
        """Counts the time of the block as measurement.

        Args:
            continued: Whether the block is a part of the last measurement.
        """
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self._measuring += seconds
            self._last = seconds + (self._last if continued else 0.0)

    def overhead(self) -> float:
        """Returns the time of measurements over that of training without them."""
        training = self._total - self._measuring
        return self._measuring / training if training > 0 else math.nan

    def affords(self, budget: float) -> bool:
        """Returns whether one more measurement, as long as the last, fits the budget.

        With it the overhead may exceed the budget by up to half of what one measurement
        adds, and so lies above the budget as often as below.

        Args:
            budget: The share of the training time that measurements may take.
        """
        training = self._total - self._measuring
        return self._measuring + self._last / 2 <= budget * training
