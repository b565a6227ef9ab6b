"""How busy a GPU is while something runs, as `nvidia-smi` sees it."""

import contextlib
import shutil
import statistics
import subprocess
import tempfile

_COMMAND = (
    "nvidia-smi",
    "--query-gpu=utilization.gpu",
    "--format=csv,noheader,nounits",
    "--loop-ms=100",
)


class Utilization:
    """The percentages of time in which the GPU computed, once they are known."""

    def __init__(self):
        self.percentages = []

    def __str__(self):
        if not self.percentages:
            return "utilization unknown"
        return f"utilization {statistics.mean(self.percentages):.0f} %"


@contextlib.contextmanager
def gpu_utilization():
    """Yields a `Utilization`, which holds samples of the block when that is done.

    It stays empty where there is no `nvidia-smi`, or where that gives no numbers.
    """
    utilization = Utilization()
    if shutil.which(_COMMAND[0]) is None:
        yield utilization
        return
    with tempfile.TemporaryFile("w+") as samples:
        sampler = subprocess.Popen(_COMMAND, stdout=samples)
        try:
            yield utilization
        finally:
            sampler.terminate()
            sampler.wait()
        samples.seek(0)
        utilization.percentages += [
            float(line) for line in samples if line.strip().isdecimal()
        ]
