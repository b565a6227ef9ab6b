import pytest

from keras_bnsmooth.callbacks.schedules import (
    AtSteps,
    EveryN,
    LogSpaced,
    Successive,
    schedule,
)


def due(schedule, last):
    steps, step = [], schedule.next(0)
    while step is not None and step <= last:
        steps.append(step)
        step = schedule.next(step + 1)
    return steps


def test_every_n():
    assert due(schedule(3), 10) == [0, 3, 6, 9]
    assert EveryN(5).next(6) == 10


def test_at_steps():
    assert due(schedule([7, 2, 2]), 10) == [2, 7]
    assert AtSteps([1]).next(2) is None


@pytest.mark.parametrize("per_decade", [1, 3, 10])
def test_log_spaced_is_every_power_rounded(per_decade):
    expected = {0} | {round(10 ** (k / per_decade)) for k in range(4 * per_decade + 1)}
    assert due(LogSpaced(per_decade), 10_000) == sorted(expected)


def test_successive_adds_the_step_after():
    assert due(Successive(4), 9) == [0, 1, 4, 5, 8, 9]
    assert due(Successive([3, 4]), 9) == [3, 4, 5]


@pytest.mark.parametrize("every", [0, -1, [], [-1], [1.5], "log", None, 2.5, True])
def test_rejects(every):
    with pytest.raises(ValueError):
        schedule(every)


@pytest.mark.parametrize("per_decade", [0, -1, 1.5])
def test_log_spaced_rejects(per_decade):
    with pytest.raises(ValueError, match="per_decade must be"):
        LogSpaced(per_decade)
