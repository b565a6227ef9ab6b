"""The loss on a line or a plane through the weights."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.moving_statistics import averaged_statistics
from keras_bnsmooth.probes.arguments import as_weights, check_model, prepare, to_batches
from keras_bnsmooth.probes.determinism import raise_changed, relative_tolerance
from keras_bnsmooth.probes.surface_directions import find_directions
from keras_bnsmooth.probes.vector_norms import accumulation_dtype


@dataclasses.dataclass(frozen=True)
class LossSurface:
    """Loss on a line W + a d, or on a plane W + a d + b e.

    Attributes:
        loss: L(W).
        directions: Names of d and e.
        coordinates: a [K] and b [M], float64; a alone on a line.
        losses: Loss at these points, float64 [K] or [K, M].
        barrier: On a line to other weights, the largest height of the loss between both
            ends above the straight line between the losses there; NaN on other lines
            and planes, and if an end is not among the coordinates.
    """

    loss: float
    directions: tuple[str, ...]
    coordinates: tuple[np.ndarray, ...]
    losses: np.ndarray
    barrier: float

    @property
    def note(self) -> str:
        """What numbers cannot be relied on and why, in sentences; "" if all can."""
        count, points = np.sum(~np.isfinite(self.losses)), self.losses.size
        return f"At {count} of {points} points the loss is not finite." * bool(count)


def loss_surface(
    model: keras.Model,
    data: Any,
    *,
    directions: Any = ("filter_normalized_random", "filter_normalized_random"),
    extent: float = 1.0,
    resolution: int = 21,
    coordinates: Sequence | None = None,
    origin: Sequence | None = None,
    training: bool = True,
    statistics: Any = None,
    seed: int = 0,
    loss: autodiff.Loss | None = None,
    verbose: int = 1,
) -> LossSurface:
    """Measures the loss on a line or a plane through the weights W.

    Only trainable weights move. Noise and dropout are the same at every point. Costs a
    forward pass per point and batch, one after the other, with the memory of one and up
    to ten copies of the weights. The first call for a compiled model also checks that
    evaluations agree.

    Args:
        model: A built, compiled `keras.Model`.
        data: A batch (x, y) or (x, y, sample_weight), or several: a list of such
            tuples, a `tf.data.Dataset` or any other iterable that ends. All are held in
            memory. The loss is their mean, weighted by numbers of samples.
        directions: One of these, or a list of two:

            - `"gradient"`: minus the gradient. A coordinate is the learning rate of a
              step of gradient descent.
            - `"update"`: the step that the optimizer would make now, see `landscape`.
            - `"random"`: Gaussian, as long as the weights.
            - `"filter_normalized_random"`: Gaussian, each filter as long as the
              corresponding filter of the weights, and zero along biases and the
              parameters of normalizations (Li et al., 2018, arXiv 1712.09913). A
              filter are the weights that produce one output unit.
            - `"eigenvectors"`: the leading eigenvector of the Hessian, of length 1; in
              second place, too, the second one. Takes up to 30 products with the
              Hessian, and holds as many copies of the weights on the host.
            - Arrays shaped like `model.trainable_variables`.
            - A model of the same architecture, or a `.keras` or `.weights.h5` file:
              linear interpolation of the trainable weights, from coordinate 0, this
              model, to 1, the other.
        extent: Coordinates go from -extent to extent. Towards other weights they go
            from 0 to 1, or, centered alike, over `extent` times that length.
        resolution: Number of coordinates per direction.
        coordinates: Numbers to take instead, or one list of them per direction.
        origin: Arrays to take for W instead of the model's weights. Gradient, update,
            eigenvectors and lengths of random directions are still those of the model.
        training: Whether to normalize by the statistics of each batch, as in training.
            Otherwise the model is in inference mode, with moving statistics that belong
            to its present weights: elsewhere the loss is an artefact of stale
            statistics, unless `statistics` is given.
        statistics: Batches from which the moving statistics of every point are computed
            as `kb.recompute_moving_statistics` does, for `training=False`. Costs a
            forward pass per point and batch.
        seed: Integer that determines random directions.
        loss: What to measure instead of the compiled loss, a function
            `(model, x, y, sample_weight) -> scalar`, see `landscape`.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A `LossSurface`. Losses that are not finite stay as they are.

    Raises:
        ValueError: The model is not built, not compiled or has no trainable weights;
            the data do not fit it; another argument is not as above; two evaluations at
            the same weights differ.

    Example:
    ```python
    kb.plots.contour(kb.probes.loss_surface(model, (x, y))).savefig("surface.png")
    barrier = kb.probes.loss_surface(model, (x, y), directions=other_model).barrier
    ```
    """
    with autodiff.objective(model, loss):
        if statistics is not None if training else loss is not None:
            raise ValueError(
                "statistics= takes training=False, and training=False the compiled "
                "loss; a function passed as loss= calls the model in its own way."
            )
        batches = _weighted(model, data)
        found = find_directions(model, directions, batches, seed)
        ends = [is_end for *_, is_end in found]
        if coordinates is None:
            steps = extent * np.linspace(-1, 1, resolution)
            coordinates = [(steps + 1) / 2 if end else steps for end in ends]
        grid = _as_grid(coordinates, len(found))
        start = model.trainable_variables if origin is None else origin
        start = as_weights(model, start, "origin")
        with autodiff.objective(model, None if training else autodiff.inference_loss):
            at_origin, *losses = _measure(
                model, batches, start, found, grid, statistics, verbose
            )
    losses = np.reshape(losses, [len(c) for c in grid])
    barrier = _barrier(grid[0], losses) if ends == [True] else np.nan
    return LossSurface(at_origin, tuple(f[0] for f in found), grid, losses, barrier)


def _weighted(model, data):
    """Returns a list of (share of all samples, batch)."""
    if isinstance(data, list) and any(hasattr(part, "shape") for part in data):
        data = tuple(data)  # as callbacks read it
    batches, sizes = [], []
    for x, y, sample_weight in to_batches(data):
        sizes.append(keras.tree.flatten(x if y is None else y)[0].shape[0])
        batches.append(prepare(model, (x, y, sample_weight)))
    check_model(model)
    return [(n / sum(sizes), batch) for n, batch in zip(sizes, batches, strict=True)]


def _as_grid(coordinates, count):
    """Returns `count` arrays of coordinates."""
    if np.isscalar(coordinates) or all(np.ndim(part) == 0 for part in coordinates):
        coordinates = [coordinates] * count
    grid = tuple(np.asarray(part, np.float64) for part in coordinates)
    good = all(c.ndim == 1 and c.size and np.all(np.isfinite(c)) for c in grid)
    if len(grid) != count or not good:
        raise ValueError(
            "coordinates must be finite numbers, or one list of them per direction, of "
            f"which there are {count}; received {[c.tolist() for c in grid]}."
        )
    return grid


def _measure(model, batches, start, directions, grid, statistics, verbose):
    """Returns the loss at the start, and then those at all points of the grid."""
    move, weights_at, loss_at = (
        autodiff.compiled(model, f) for f in (_moved, _weights_at, _loss_at)
    )
    if statistics is not None:
        statistics = [x for x, *_ in to_batches(statistics)]

    def tensor(array):
        dtype = accumulation_dtype(model.trainable_variables)
        return ops.convert_to_tensor(array, dtype)

    def flat(vector):
        # One tensor, since each argument of a compiled function takes time.
        return ops.concatenate([ops.reshape(tensor(part), -1) for part in vector])

    origin = flat(start)
    *across, along = [(flat(v), origin if end else None) for _, v, end in directions]

    def at(base, coordinate):
        point, state = (base, tensor(coordinate), *along), None
        if statistics is not None:
            computed = averaged_statistics(model, statistics, weights_at(*point))
            present = {id(v): v.value for v in model.non_trainable_variables}
            state = list((present | computed).values())
        return sum(share * float(loss_at(*b, *point, state)) for share, b in batches)

    once(model, _check)(lambda: (at(origin, 0.0), at(origin, 0.0)))
    count = 1 + math.prod(map(len, grid))
    bar = keras.utils.Progbar(count, verbose=verbose, unit_name="point")
    losses = [at(origin, 0.0)]
    for a in grid[0] if across else [0.0]:
        base = move(origin, tensor(a), *across[0]) if across else origin
        for b in grid[-1]:
            losses.append(at(base, b))
            bar.update(len(losses))
    return losses


def _check(model, evaluate_twice):
    first, second = evaluate_twice()
    if abs(first - second) > relative_tolerance(model) * abs(first):
        raise_changed(model, "loss")


def _barrier(coordinates, losses):
    at = dict(zip(coordinates, losses, strict=True))
    if not {0, 1} <= at.keys():
        return np.nan
    heights = [at[c] - (1 - c) * at[0] - c * at[1] for c in at if 0 <= c <= 1]
    return float(np.max(heights))


def _moved(model, weights, state, base, coordinate, vector, origin):
    """Returns base + c v or base + c (v - origin), flat vectors [N]."""
    if origin is not None:
        base = base - coordinate * origin
    return base + coordinate * vector


def _weights_at(model, weights, state, *point):
    """Returns the flat vector `_moved` as weights."""
    flat = _moved(model, weights, state, *point)
    sizes = [math.prod(w.shape) for w in weights]
    return [
        ops.cast(ops.reshape(flat[end - size : end], w.shape), w.dtype)
        for w, size, end in zip(weights, sizes, np.cumsum(sizes), strict=True)
    ]


def _loss_at(model, weights, own, x, y, sample_weight, *point_and_state):
    *point, state = point_and_state
    weights, state = _weights_at(model, weights, own, *point), state or own
    return autodiff.value(model, weights, state, x, y, sample_weight)
