"""Directions of a loss surface, by their names."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_bnsmooth import autodiff, keras_model
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.probes import lanczos
from keras_bnsmooth.probes.arguments import as_weights
from keras_bnsmooth.probes.directions import (
    RANDOM,
    gradient_at,
    random_direction,
    update_direction,
)
from keras_bnsmooth.probes.sharpness import check_sharpness
from keras_bnsmooth.probes.vector_norms import accumulation_dtype

NAMES = ("gradient", "update", *RANDOM, "eigenvectors")


def find_directions(
    model: keras.Model, directions: Any, batches: Sequence, seed: int
) -> list[tuple[str, list, bool]]:
    """Returns (name, vector as tensors, whether it is the other end of a line) of each.

    Args:
        model: A built, compiled `keras.Model`.
        directions: As in `loss_surface`.
        batches: Pairs of share of all samples and batch as tensors.
        seed: As in `loss_surface`.
    """
    one = isinstance(directions, (str, os.PathLike, keras.Model))
    listed = isinstance(directions, Sequence) and not one
    if not listed or any(hasattr(part, "shape") for part in directions):
        directions = [directions]
    if len(directions) not in (1, 2):
        raise _unknown(directions)
    count = list(directions).count("eigenvectors")
    leading = _eigenvectors(model, batches, count, seed) if count else []
    found = []
    for number, kind in enumerate(directions):
        name, is_end = kind, False
        if kind == "eigenvectors":
            name, vector = leading.pop(0)
        elif kind in ("gradient", "update"):
            vector = _mean(model, batches, gradient_at, None)
            if kind == "update":
                gradient = as_weights(model, vector)
                vector = update_direction(model, batches[0][1], gradient)
            vector = lanczos.scaled(lanczos.to_host(vector), -1)
        elif kind in RANDOM:
            vector = random_direction(kind, model, [seed, number], unit=False)
        elif isinstance(kind, keras.Model):
            name, vector, is_end = f"to {kind.name}", kind.trainable_variables, True
        elif isinstance(kind, (str, os.PathLike)):
            name, vector = f"to {os.path.basename(kind)}", _load(model, kind)
            is_end = True
        elif isinstance(kind, Sequence):
            name, vector = f"direction {number + 1}", kind
        else:
            raise _unknown(kind)
        vector = as_weights(model, vector, f"direction {name!r}")
        if not np.isfinite(lanczos.norm(lanczos.to_host(vector))):
            raise ValueError(f"direction {name!r} has NaN or infinite entries.")
        found.append((name, vector, is_end))
    return found


def _unknown(received):
    return ValueError(
        f"directions must be one or two of {', '.join(map(repr, NAMES))}, a list of "
        "arrays shaped like the weights, a model and a file of weights that exists; "
        f"received {received!r}."
    )


def _load(model, path):
    """Returns the trainable weights in a file; the model stays as it is."""
    if not os.path.exists(path):
        raise _unknown(path)
    state = [v for o in keras_model.optimizers(model) for v in o.variables]
    with autodiff.preserve_variables(model, state):
        model.load_weights(path)
        return lanczos.to_host(model.trainable_variables)


def _eigenvectors(model, batches, count, seed):
    """Returns a list of (name with eigenvalue, vector)."""
    once(model, check_sharpness)(batches[0][1])

    def product(vector):
        return _mean(model, batches, _product, as_weights(model, vector))

    generator = np.random.default_rng(seed)
    start = lanczos.gaussian(generator, model.trainable_variables)
    found = []
    for ritz, vector in lanczos.leading_eigenvectors(product, start, count):
        eigenvalue = f"{ritz.value:.3g} ± {ritz.error_bound:.1g}"
        found.append((f"eigenvector, eigenvalue {eigenvalue}", vector))
    if len(found) < count:
        raise ValueError(
            f"{model.name} has no {count} leading eigenvectors here: its Hessian is "
            "not finite or almost zero; pass other directions."
        )
    return found


def _mean(model, batches, function, *arguments):
    """Returns the mean of vectors over batches, on the host."""
    variables = model.trainable_variables
    mean = [np.zeros(tuple(v.shape), accumulation_dtype([v])) for v in variables]
    for share, batch in batches:
        vector = autodiff.compiled(model, function)(*batch, *arguments)
        lanczos.add_scaled(mean, share, lanczos.to_host(vector))
    return mean


def _product(model, weights, state, x, y, sample_weight, vector):
    batch = (x, y, sample_weight)
    return autodiff.hessian_vector_product(model, weights, vector, state, *batch)
