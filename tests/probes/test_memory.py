"""Peak memory, each in a process of its own, since a peak never comes down."""

import subprocess
import sys

import keras
import pytest

# A network large enough to outweigh graphs and Python.
TRAIN = """
import resource, sys
import keras, numpy as np
from keras_bnsmooth import probes
layers = [keras.layers.Dense(3000) for _ in range(3)]
model = keras.Sequential([keras.Input((3000,)), *layers])
model.compile(keras.optimizers.SGD(0.1), "mse")
x = np.ones((16, 3000), "float32")
for _ in range(3):
    model.train_on_batch(x, x)
    if sys.argv[1] == "probe":
        probes.landscape(model, x, x, np.geomspace(0.05, 0.4, 8))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(peak, 4 * model.count_params())
"""


def peak_and_weights(what):
    command = [sys.executable, "-c", TRAIN, what]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return map(int, output.split()[-2:])


@pytest.mark.slow
def test_a_landscape_takes_few_copies_of_the_weights():
    training, weights = peak_and_weights("train")
    probing, _ = peak_and_weights("probe")
    # JAX trains in less memory than the others, and XLA runs at once what it can;
    # PyTorch's allocator keeps some of what is freed.
    copies = 3 if keras.backend.backend() == "tensorflow" else 4
    assert probing - training < copies * weights
