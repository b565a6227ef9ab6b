"""Measures and trains the same models under a strategy.

    python -m tests.apps.distribution.measure STRATEGY DTYPE PARTS FILE NETWORK/NORM...

Under "none" on one device, else on two logical ones or, where the environment names
other processes, on one of each process. PARTS are those of `PARTS`, with commas.
"""

import dataclasses
import itertools
import os
import sys

import keras
import numpy as np

from apps.training import processes, strategy
from apps.training.environment import set_precision
from keras_bnsmooth import keras_model, models, probes, recompute_moving_statistics
from keras_bnsmooth.models.norms import normalize

LEARNING_RATE = {"cnn": 0.01, "vgg": 0.01, "dln": 2e-5}
STEPS = 3


def cnn(norm, synchronized):
    """The layers of the VGG, few enough to compile in no time."""
    x = inputs = keras.Input((8, 8, 3))
    for number in (1, 2):
        x = keras.layers.Conv2D(4, 3)(x)
        x = normalize(x, norm, f"norm{number}", number, synchronized=synchronized)
        x = keras.layers.ReLU()(x)
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(4)(x))


def build(network, norm, devices):
    synchronized = devices.name == "mirrored"
    if network == "cnn":
        model = cnn(norm, synchronized)
    elif network == "vgg":
        model = models.vgg(
            (8, 8, 3),
            classes=4,
            depth=11,
            width=4,
            norm=norm,
            synchronized=synchronized,
        )
    else:
        model = models.dln(depth=4, dim=5, norm=norm, synchronized=synchronized)
    model.compile(
        keras.optimizers.SGD(LEARNING_RATE[network]),
        models.SquaredError()
        if network == "dln"
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=keras.backend.backend() == "jax",
    )
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        shape = tuple(variable.shape)
        scale = np.sqrt(2 / (np.prod(shape[:-2]) * sum(shape[-2:])))
        mean = 1.0 if variable.name == "gamma" else 0.0
        variable.assign(mean + rng.normal(0, scale if len(shape) > 1 else 0.1, shape))
    return model


def batch(network):
    rng = np.random.default_rng(1)
    if network == "dln":
        return tuple(rng.normal(size=(2, 40, 5)))
    return rng.normal(size=(32, 8, 8, 3)), rng.integers(0, 4, 32)


def landscape(model, batch, learning_rate, devices):
    step_sizes = learning_rate * np.array([0.5, 4.0])
    return dataclasses.asdict(probes.landscape(model, *batch, step_sizes))


def shift(model, batch, learning_rate, devices):
    measured = probes.internal_covariate_shift(model, *batch, learning_rate)
    return {"l2": measured.l2, "cosine": measured.cosine}


def activations(model, batch, learning_rate, devices):
    return probes.activations(model, batch[0], units=0)


def statistics(model, batch, learning_rate, devices):
    if not any("moving" in v.name for v in model.non_trainable_variables):
        return {}
    recompute_moving_statistics(model, [batch, batch[0][: len(batch[0]) // 2]])
    return {v.path: v.numpy() for v in model.non_trainable_variables}


def training(model, batch, learning_rate, devices):
    history = model.fit(
        devices.input(lambda: itertools.repeat(batch)),
        steps_per_epoch=STEPS,
        shuffle=False,
        verbose=0,
    )
    assert keras_model.step(model) == STEPS
    weights = [keras.ops.convert_to_numpy(v).ravel() for v in model.weights]
    return {"loss": history.history["loss"], "weights": np.concatenate(weights)}


PARTS = {
    part.__name__: part
    for part in (landscape, shift, activations, statistics, training)
}


def measure(case, parts, devices):
    network, norm = case.split("/")
    model = build(network, norm, devices)
    for part in parts:
        fields = PARTS[part](model, batch(network), LEARNING_RATE[network], devices)
        for field, value in fields.items():
            yield f"{case}/{part}/{field}", value


if __name__ == "__main__":
    name, dtype, parts, path, *cases = sys.argv[1:]
    set_precision(dtype)
    several = "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ or name == "none"
    devices = strategy.start(name, logical_cpus=1 if several else 2)
    with devices.scope():
        np.savez(
            path,
            replicas=devices.replicas,
            **{
                key: value
                for case in cases
                for key, value in measure(case, parts.split(","), devices)
            },
        )
    processes.wait_for_all()
    processes.leave()
