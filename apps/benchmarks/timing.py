"""Timings of alternatives side by side, and the utilization of a GPU meanwhile."""

import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time


def time_call(function):
    """Returns the seconds that a call of `function` takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def medians(contestants, rounds):
    """Returns the median seconds of each contestant, as a dict.

    Every round times all contestants in turn, so that disturbances from the rest of the
    machine cancel. An uncounted first round warms them up.

    Args:
        contestants: Dict of functions without arguments that return the seconds of one
            measurement.
        rounds: Measurements per contestant.
    """
    for measure in contestants.values():
        measure()
    seconds = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            seconds[name].append(measure())
    return {name: statistics.median(values) for name, values in seconds.items()}


def print_table(seconds, reference):
    """Prints milliseconds per step and the ratio to the contestant `reference`."""
    width = max(map(len, seconds))
    print(f"{'':{width}}  ms/step  ratio to {reference}")
    for name, value in seconds.items():
        print(f"{name:{width}}  {value * 1e3:7.2f}  {value / seconds[reference]:.3f}")


_NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=utilization.gpu",
    "--format=csv,noheader,nounits",
    "--loop-ms=100",
)


class Utilization:
    """Percentages of time during which the GPU was computing, sampled repeatedly."""

    def __init__(self):
        self.percentages = []

    def __str__(self):
        if not self.percentages:
            return "utilization unknown"
        return f"utilization {statistics.mean(self.percentages):.0f} %"


@contextlib.contextmanager
def gpu_utilization():
    """Yields a `Utilization`, filled when the block ends.

    It stays empty if there is no `nvidia-smi` or if it reports no numbers.
    """
    utilization = Utilization()
    if shutil.which(_NVIDIA_SMI[0]) is None:
        yield utilization
        return
    with tempfile.TemporaryFile("w+") as samples:
        sampler = subprocess.Popen(_NVIDIA_SMI, stdout=samples)
        try:
            yield utilization
        finally:
            sampler.terminate()
            sampler.wait()
        samples.seek(0)
        utilization.percentages += [
            float(line) for line in samples if line.strip().isdecimal()
        ]
