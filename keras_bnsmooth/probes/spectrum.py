"""Spectrum of the Hessian: extreme eigenvalues, trace and density."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.probes.arguments import check_counts, check_model, to_tensors
from keras_bnsmooth.probes.derivatives import check_symmetry
from keras_bnsmooth.probes.lanczos import (
    Vector,
    add_scaled,
    gaussian,
    inner,
    norm,
    quadrature,
    scaled,
    to_host,
)
from keras_bnsmooth.probes.layer_list import weight_layers
from keras_bnsmooth.probes.sharpness import check_sharpness

# The density is a sum of normal densities of this standard deviation, relative to the
# distance of the extreme Ritz values.
_WIDTH = 0.005
_POINTS = 1024
# Relative standard error beyond which a note says so.
_COARSE = 0.5


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Spectrum of H, the Hessian of the training loss, or of a diagonal block of it.

    The loss is in training mode, with regularizers and with the noise and dropout of
    this batch held.

    Attributes:
        eigenvalues: The k largest eigenvalues, descending; fewer if the Lanczos method
            found fewer. Their error bounds are disjoint: eigenvalues that it cannot
            tell apart, equal ones among them, are one here.
        error_bounds: An eigenvalue of H lies at most this far from each of them.
        lowest_eigenvalues: The k smallest, ascending, found in the same way.
        lowest_error_bounds: Their error bounds.
        trace: Estimate of the trace of H.
        trace_error: Its standard error; with few draws, a rough one.
        grid: Points at which the density is given, ascending, float64 [1024].
        density: Density of the eigenvalues, float64 [1024]; its integral is 1. A sum of
            normal densities whose standard deviation is 1 / 200 of the distance of the
            extreme Ritz values.
        ritz_values: Where those are centered, float64 [J].
        ritz_weights: Their weights, [J], which sum to 1. The mean of f(eigenvalue) over
            the eigenvalues of H is about the sum of f(ritz_value) times weight.
        size: Number of weights, rows of H.
        asymmetry: As in `Sharpness`.
    """

    eigenvalues: np.ndarray
    error_bounds: np.ndarray
    lowest_eigenvalues: np.ndarray
    lowest_error_bounds: np.ndarray
    trace: float
    trace_error: float
    grid: np.ndarray
    density: np.ndarray
    ritz_values: np.ndarray
    ritz_weights: np.ndarray
    size: int
    asymmetry: float

    @property
    def note(self) -> str:
        """What numbers cannot be relied on and why, in sentences; "" if all can."""
        if np.isnan(self.trace):
            return "A product with the Hessian is not finite, so there is no spectrum."
        if self.trace_error <= _COARSE * abs(self.trace):
            return ""
        return (
            f"The trace, {self.trace:.3g}, has a standard error of "
            f"{self.trace_error:.2g}; more draws make it smaller."
        )


def spectrum(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    steps: int = 80,
    draws: int = 4,
    eigenvalues: int = 5,
    layers: Iterable[str] | None = None,
    sample_weight: Any = None,
    seed: int = 0,
    loss: autodiff.Loss | None = None,
) -> Spectrum:
    """Measures eigenvalues, trace and eigenvalue density of the Hessian.

    Uses stochastic Lanczos quadrature (Ghorbani et al., 2019, arXiv 1901.10159) on
    exact products of the Hessian H and a vector, through batch normalization, too. Each
    draw is a random vector, orthogonal to the ones before, from which `steps` Lanczos
    steps are taken. The trace is the mean over draws of v' H v, times the number of
    weights (Hutchinson); if there are as many draws as weights, it is exact. Kinks, as
    of ReLU, have no part in H.

    Costs a gradient and `steps` times `draws` products, about two gradients each.
    Nothing is reorthogonalized, so memory does not grow with the steps: beyond what
    differentiating twice needs, it is five copies of the weights and one per draw, all
    but two of them on the host. With `layers`, those on the host are as small as the
    weights of these layers.

    The first call for a compiled model also makes the checks of `sharpness`.

    Args:
        model: A built, compiled `keras.Model`.
        x: Inputs of one batch, as `model.fit` takes them.
        y: Targets of the batch, or None if the model has none.
        steps: Lanczos steps per draw, positive. More steps resolve more.
        draws: Number of random vectors, positive. More draws make trace and density
            more accurate.
        eigenvalues: k, how many eigenvalues to return from either end, positive.
        layers: Names of the layers to whose weights H is restricted, as in
            `LayerScales`; by default all.
        sample_weight: Weights of the samples, or None.
        seed: Integer that determines the random vectors.
        loss: What to measure instead of the compiled loss, a function
            `(model, x, y, sample_weight) -> scalar`, see `landscape`.

    Returns:
        A `Spectrum`. All numbers are NaN if a product with H is not finite.

    Raises:
        ValueError: As for `sharpness`; steps, draws or eigenvalues are no positive
            integers; there are no such layers.

    Example:
    ```python
    r = kb.probes.spectrum(model, x, y)
    print(f"trace {r.trace:.3g} +- {r.trace_error:.1g}, largest {r.eigenvalues}")
    kb.plots.spectrum({"bn": r})
    ```
    """
    with autodiff.objective(model, loss):
        batch = to_tensors(model, x, y, sample_weight)
        check_model(model)
        check_counts(steps=steps, draws=draws, eigenvalues=eigenvalues)
        positions = _positions(model, layers)
        once(model, check_sharpness)(batch)
        return measure_spectrum(
            model, batch, steps, draws, eigenvalues, seed, positions
        )


def _positions(model, layers):
    """Returns the positions of the weights of layers, or None for all."""
    if layers is None:
        return None
    known = {layer.name: layer.positions for layer in weight_layers(model)}
    names = [layers] if isinstance(layers, str) else list(layers)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(
            f"layers={names}: pass one or several of the layers with weights, "
            f"{', '.join(known)}."
        )
    return [position for name in dict.fromkeys(names) for position in known[name]]


def measure_spectrum(
    model: keras.Model,
    batch: tuple,
    steps: int,
    draws: int,
    count: int,
    seed: int | Sequence[int],
    positions: Sequence[int] | None = None,
) -> Spectrum:
    """Computes a `Spectrum` from tensors.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
        steps: See `spectrum`.
        draws: See `spectrum`.
        count: k, see `spectrum`.
        seed: Determines the random vectors.
        positions: Those of the weights to which H is restricted, or None for all.
    """
    if positions is None:
        positions = range(len(model.trainable_variables))
    product = _restricted_product(model, batch, positions)
    of_block = [model.trainable_variables[i] for i in positions]
    size = sum(int(np.prod(v.shape)) for v in of_block)
    draws = min(draws, size)
    generator = np.random.default_rng(seed)
    vectors: list[Vector] = []
    found = []
    for _ in range(draws):
        vectors.append(_orthogonal_draw(generator, of_block, vectors))
        start = [part.copy() for part in vectors[-1]]
        one = quadrature(product, start, steps)
        if one is None:
            return _nothing(size, count)
        found.append(one)
    nodes = np.concatenate([one.nodes for one in found])
    weights = np.concatenate([one.weights for one in found]) / draws
    bounds = np.concatenate([one.error_bounds for one in found])
    distinct = _distinct(nodes, bounds)
    largest, smallest = distinct[::-1][:count], distinct[:count]
    trace = size * np.mean([one.mean for one in found])
    square = size * np.mean([one.mean_square for one in found])
    # Few draws may see little of an eigenvalue that their Lanczos steps find.
    known = np.maximum(np.abs(nodes[distinct]) - bounds[distinct], 0)
    square = max(square, np.sum(known**2))
    grid, density = _smooth(nodes, weights)
    asymmetry = max(one.asymmetry for one in found)
    check_symmetry(model, asymmetry)
    return Spectrum(
        eigenvalues=nodes[largest],
        error_bounds=bounds[largest],
        lowest_eigenvalues=nodes[smallest],
        lowest_error_bounds=bounds[smallest],
        trace=float(trace),
        trace_error=_trace_error(trace, square, size, draws),
        grid=grid,
        density=density,
        ritz_values=nodes,
        ritz_weights=weights,
        size=size,
        asymmetry=asymmetry,
    )


def _restricted_product(model, batch, positions):
    """Returns the function v -> H v on the weights at some positions."""
    multiply = autodiff.linearize(model, *batch)[2]
    variables = model.trainable_variables

    def product(vector):
        parts = dict(zip(positions, vector, strict=True))
        tensors = [
            ops.convert_to_tensor(parts[i], v.dtype)
            if i in parts
            else ops.zeros(v.shape, v.dtype)
            for i, v in enumerate(variables)
        ]
        result = multiply(tensors)
        return to_host([result[i] for i in positions])

    return product


def _orthogonal_draw(generator, variables, vectors):
    """Returns a random vector of length 1, orthogonal to all `vectors`."""
    draw = gaussian(generator, variables)
    for _ in range(2):  # the second time removes the rounding error of the first
        scaled(draw, 1 / norm(draw))
        for vector in vectors:
            add_scaled(draw, -inner(vector, draw), vector)
    return scaled(draw, 1 / norm(draw))


def _trace_error(trace, square, size, draws):
    """Returns the standard error of the trace.

    The trace of H on a random subspace of dimension N of n, uniformly distributed, has
    the variance 2 N (n - N) (n tr H^2 - (tr H)^2) / (n^2 (n - 1) (n + 2)).
    """
    spread = max(size * square - trace**2, 0.0)
    factor = 2 * (size - draws) / (draws * max(size - 1, 1) * (size + 2))
    return float(np.sqrt(factor * spread))


def _distinct(nodes, bounds):
    """Returns the ascending order of nodes whose error bounds are disjoint.

    The most accurate ones take their place first. Copies of converged eigenvalues,
    which rounding adds, lie within each other's bounds or, on their way, have large
    ones.
    """
    kept: list[int] = []
    for i in np.argsort(bounds, kind="stable"):
        if all(abs(nodes[i] - nodes[j]) > bounds[i] + bounds[j] for j in kept):
            kept.append(int(i))
    return sorted(kept, key=lambda i: nodes[i])


def _smooth(nodes: np.ndarray, weights: np.ndarray) -> Sequence[np.ndarray]:
    """Returns a grid and the density on it."""
    low, high = nodes.min(), nodes.max()
    width = _WIDTH * (high - low) or _WIDTH * abs(high) or 1.0
    grid = np.linspace(low - 5 * width, high + 5 * width, _POINTS)
    density = np.zeros_like(grid)
    for node, weight in zip(nodes, weights, strict=True):
        density += weight * np.exp(-(((grid - node) / width) ** 2) / 2)
    return grid, density / (width * np.sqrt(2 * np.pi))


def _nothing(size, count):
    values, points = np.full(count, np.nan), np.full(_POINTS, np.nan)
    return Spectrum(
        *[values] * 4, np.nan, np.nan, *[points] * 2, *[values] * 2, size, np.nan
    )
