"""Measures and trains the same models under a strategy.

    python -m tests.distribution.measure STRATEGY DTYPE MEASUREMENTS.npz NORM...

Under "none" on one device, else on two logical ones or, where the environment names
other processes, on one of each process.
"""

import dataclasses
import itertools
import os
import sys

import keras
import numpy as np

from keras_bnsmooth import models, optimizer_state, probes, processes
from keras_bnsmooth.training import strategy
from keras_bnsmooth.training.precision import set_precision

LEARNING_RATE = {"vgg": 0.01, "dln": 1e-4}
STEPS = 3


def build(network, norm, devices):
    synchronized = devices.name == "mirrored"
    if network == "vgg":
        model = models.vgg(
            (8, 8, 3),
            num_classes=4,
            depth=11,
            width=4,
            norm=norm,
            synchronized=synchronized,
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    else:
        model = models.dln(depth=6, dim=5, norm=norm, synchronized=synchronized)
        loss = models.SquaredError()
    model.compile(
        keras.optimizers.SGD(LEARNING_RATE[network]),
        loss,
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
    if network == "vgg":
        return rng.normal(size=(32, 8, 8, 3)), rng.integers(0, 4, 32)
    return tuple(rng.normal(size=(2, 40, 5)))


def measure(network, norm, devices):
    model = build(network, norm, devices)
    x, y = batch(network)
    learning_rate = LEARNING_RATE[network]
    step_sizes = learning_rate * np.array([0.5, 4.0])
    landscape = probes.landscape(model, x, y, step_sizes)
    shift = probes.internal_covariate_shift(model, x, y, learning_rate)
    measured = {
        "landscape": dataclasses.asdict(landscape),
        "shift": {"l2": shift.l2, "cosine": shift.cosine},
        "activations": probes.activations(model, x, units=0),
    }
    history = model.fit(
        devices.input(lambda: itertools.repeat((x, y))),
        steps_per_epoch=STEPS,
        shuffle=False,
        verbose=0,
    )
    assert optimizer_state.step(model) == STEPS
    weights = [keras.ops.convert_to_numpy(v).ravel() for v in model.weights]
    measured["training"] = {
        "loss": history.history["loss"],
        "weights": np.concatenate(weights),
    }
    for part, fields in measured.items():
        for field, value in fields.items():
            yield f"{network}/{norm}/{part}/{field}", value


if __name__ == "__main__":
    name, dtype, path, *norms = sys.argv[1:]
    set_precision(dtype)
    several = "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ or name == "none"
    devices = strategy.start(name, logical_cpus=1 if several else 2)
    with devices.scope():
        np.savez(
            path,
            replicas=devices.replicas,
            **{
                key: value
                for network in LEARNING_RATE
                for norm in norms
                for key, value in measure(network, norm, devices)
            },
        )
    processes.wait_for_all()
    processes.leave()
