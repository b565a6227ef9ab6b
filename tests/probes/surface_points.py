"""The loss at points of a surface, by assigning weights to the model."""

import keras
import numpy as np

from keras_bnsmooth import autodiff
from keras_bnsmooth.probes import arguments
from keras_bnsmooth.probes.surface_directions import find_directions
from tests.probes import reference


def inference_loss(model, x, y, sample_weight):
    return model.compute_loss(x, y, model(x, training=False), sample_weight)


def plain(model, batches, weights, training=True):
    """The loss of the model with other weights, the mean over samples."""
    loss = reference.compiled_loss if training else inference_loss
    losses = [
        reference.value_and_grad(model, weights, *b, loss=loss)[0] for b in batches
    ]
    return np.average(losses, weights=[len(y) for _, y, *_ in batches])


def vectors_of(model, given, batch, seed=0):
    with autodiff.objective(model, None):
        tensors = arguments.to_tensors(model, *batch)
        found = find_directions(model, given, [(1.0, tensors)], seed)
    return [
        [np.array(keras.ops.convert_to_numpy(part)) for part in vector]
        for _, vector, _ in found
    ]


def present(model):
    return [np.array(v.numpy()) for v in model.trainable_variables]


def moved(weights, steps, vectors):
    result = weights
    for step, vector in zip(steps, vectors, strict=True):
        result = [
            w + np.asarray(step, w.dtype) * d
            for w, d in zip(result, vector, strict=True)
        ]
    return result
