"""Noise on two replicas, in a process of its own with two logical devices."""

import json
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

PROGRAM = """
import json

import keras
import numpy as np
import tensorflow as tf

from keras_bnsmooth.layers import ActivationNoise

cpu = tf.config.list_physical_devices("CPU")[0]
options = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, options)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def draw(layer, x, graph):
    call = tf.function(lambda: layer(x, training=True)) if graph else (
        lambda: layer(x, training=True)
    )
    return [
        [r.numpy().tolist() for r in strategy.experimental_local_results(v)]
        for v in (strategy.run(call) for _ in range(2))
    ]


def build():
    with strategy.scope():
        layer = ActivationNoise(seed=4)
        layer.build((None, 3))
    return layer


x = np.ones((5000, 3), "float32")
alone = ActivationNoise(seed=4)
single = [alone(x, training=True).numpy().tolist() for _ in range(2)]
print(json.dumps([single, draw(build(), x, True), draw(build(), x, True)]))
"""


@pytest.fixture(scope="module")
def drawn():
    """Noise on one device [steps, ...], and twice on two [steps, replicas, ...]."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    return [np.array(part) for part in json.loads(run.stdout.splitlines()[-1])]


def test_the_first_replica_draws_what_one_device_does(drawn):
    single, several, _ = drawn
    np.testing.assert_allclose(several[:, 0], single, rtol=1e-6)


def test_elements_are_independent_on_the_others(drawn):
    _, several, _ = drawn
    first, second = several[0] - several[0].mean(axis=1, keepdims=True)
    correlation = np.mean(first * second, axis=0) / (first.std(0) * second.std(0))
    # Its standard deviation is 0.014; with one seed for all it is 1.
    assert np.all(np.abs(correlation) < 0.07)


def test_channels_are_shared(drawn):
    _, several, _ = drawn
    # The mean over elements is sigma_j + mu_j, up to 0.0016 from elements.
    means = several.mean(axis=2)
    np.testing.assert_allclose(means[:, 0], means[:, 1], atol=0.01)
    assert np.all(np.abs(means[0] - means[1]) > 0.01)


def test_every_run_draws_the_same(drawn):
    _, several, again = drawn
    np.testing.assert_array_equal(several, again)
