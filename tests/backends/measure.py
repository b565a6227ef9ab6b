"""Measures the same models on the backend of KERAS_BACKEND.

    python measure.py build MODELS_TO_WRITE MEASUREMENTS.npz
    python measure.py load MODELS_TO_READ MEASUREMENTS.npz

Weights and batches come from NumPy, so that they are the same on every backend.
"""

import dataclasses
import sys
from pathlib import Path

import keras
import numpy as np

from keras_bnsmooth import autodiff, models, probes
from keras_bnsmooth.layers import LpNormalization, NoisyBatchNormalization

NORMS = ("none", "bn", "l1", "l2", "linf")
CURVED = ("none", "bn", "linf")
NETWORKS = ("vgg", "dln")
LEARNING_RATE = {"vgg": 0.05, "dln": 2e-5}
LAYERS = {
    "bn": keras.layers.BatchNormalization,
    "noiseless": lambda: NoisyBatchNormalization(n_mu=0, n_sigma=1, r_mu=0, r_sigma=0),
    "l1": lambda: LpNormalization(p=1),
    "l2": lambda: LpNormalization(p=2),
    "linf": lambda: LpNormalization(p=np.inf),
    "l3_centered": lambda: LpNormalization(p=3, norm_after_centering=True),
}


def build(network, norm):
    if network == "vgg":
        model = models.vgg((8, 8, 3), classes=4, depth=11, width=2, norm=norm)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    else:
        model = models.dln(depth=6, dim=5, norm=norm)
        loss = models.SquaredError()
    model.compile(keras.optimizers.SGD(LEARNING_RATE[network]), loss)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        value = np.asarray(variable.numpy())
        if value.ndim > 1:
            fan = np.prod(value.shape[:-2], dtype=int) * sum(value.shape[-2:])
            value = rng.normal(0, np.sqrt(2 / fan), value.shape)
        variable.assign(value + rng.normal(0, 0.1, value.shape))
    return model


def batch(network):
    rng = np.random.default_rng(1)
    if network == "vgg":
        x = rng.normal(size=(32, 8, 8, 3))
        return x.astype("float32"), rng.integers(0, 4, 32)
    x, y = rng.normal(size=(2, 40, 5))
    return x.astype("float32"), y.astype("float32")


def measure_loaded(model, network):
    x, y = batch(network)
    step_sizes = LEARNING_RATE[network] * np.array([0.5, 4.0])
    return {
        "landscape": dataclasses.asdict(probes.landscape(model, x, y, step_sizes)),
        "outputs": {"inference": model.predict(x, verbose=0)},
    }


def measure_built(model, network, norm):
    x, y = batch(network)
    measured = measure_loaded(model, network)
    measured["activations"] = probes.activations(model, x, units=0)
    shift = probes.internal_covariate_shift(model, x, y, LEARNING_RATE[network])
    measured["shift"] = {"l2": shift.l2, "cosine": shift.cosine}
    if norm in CURVED:
        curvature = probes.sharpness(model, x, y, iterations=100, tolerance=1e-4)
        measured["sharpness"] = {
            name: getattr(curvature, name)
            for name in ("sharpness", "lowest_eigenvalue", "gradient_curvature")
        }
        critical = probes.critical_learning_rate(model, x, y)
        measured["sharpness"]["critical_learning_rate"] = critical
    return measured


def measure_models(how, directory):
    for network in NETWORKS:
        for norm in NORMS:
            file = Path(directory) / f"{network}_{norm}.keras"
            if how == "build":
                model = build(network, norm)
                model.save(file)
                measured = measure_built(model, network, norm)
            else:
                measured = measure_loaded(keras.models.load_model(file), network)
            for probe, fields in measured.items():
                for field, value in fields.items():
                    yield f"{network}/{norm}/{probe}/{field}", value


class Constant(keras.layers.Layer):
    """Returns its weight, whatever its input: the gradient to it is an input's."""

    def __init__(self, value):
        super().__init__()
        self.value = self.add_weight(shape=value.shape, name="value")
        self.value.assign(value)

    def call(self, x):
        return self.value + 0 * x


def measure_layer(name):
    """Outputs of a layer in training, and the gradient to its input."""
    rng = np.random.default_rng(2)
    x, upstream = rng.normal(1, 2, size=(2, 8, 5, 5, 3)).astype("float32")
    inputs = keras.Input(batch_shape=x.shape)
    model = keras.Model(inputs, LAYERS[name]()(Constant(x)(inputs)))
    model.compile("sgd", lambda y, outputs: keras.ops.sum(y * outputs))
    batch = [keras.ops.convert_to_tensor(a) for a in (np.zeros_like(x), upstream)]
    _, gradient = autodiff.compiled(model, autodiff.value_and_grad)(*batch)
    outputs = keras.ops.convert_to_numpy(model(batch[0], training=True))
    gradient = keras.ops.convert_to_numpy(gradient[0])
    return {f"layer/{name}/outputs": outputs, f"layer/{name}/input_gradient": gradient}


def main(how, directory, path):
    measured = dict(measure_models(how, directory))
    if how == "build":
        for name in LAYERS:
            measured |= measure_layer(name)
    np.savez(path, **measured)


if __name__ == "__main__":
    main(*sys.argv[1:])
