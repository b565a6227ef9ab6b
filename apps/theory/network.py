"""Theorems 4.1 and 4.2 on the units of a trained network.

The outputs y_j of a unit are the inputs of one channel of a batch normalization
layer: over the batch, or over batch, height and width. The rest of the network, its
later normalizations included, is the loss L(z_j), all other units staying as they are.
"""

import dataclasses
import math

import numpy as np
from keras import ops

from apps.theory import derivatives as autodiff
from apps.theory import theorem_4_1, theorem_4_2
from apps.theory.linear_algebra import dot, squared_norm
from apps.theory.problem import MeasuredUnit
from apps.theory.tapped_network import TappedNetwork

TINY = np.finfo(np.float64).tiny


@dataclasses.dataclass(frozen=True)
class Curvature:
    """What Theorem 4.2 is about, for k of a layer's units: arrays ``[k]``.

    H is the Hessian of L with respect to z_j, v and g are the gradients of L_hat with
    respect to y_j and of L with respect to z_j.

    Attributes:
        unit: the units.
        normalized: v^T H_hat v.
        along_v: v^T H v.
        along_g: g^T H g.
        equality: the right side of the first part's equality.
    """

    unit: MeasuredUnit
    normalized: np.ndarray
    along_v: np.ndarray
    along_g: np.ndarray
    equality: np.ndarray


@dataclasses.dataclass(frozen=True)
class LayerUnits:
    """All units of one batch normalization layer.

    Attributes:
        layer: the layer's name.
        unit: their outputs, gamma, beta and gradients.
        curvature: the quadratic forms of Theorem 4.2 for some of them.
    """

    layer: str
    unit: MeasuredUnit
    curvature: Curvature


def measure(model, x, y, curvature_units: int = 4, seed: int = 0) -> list[LayerUnits]:
    """Measures the units of every batch normalization layer on one training batch.

    The network runs in training mode and float64, in a copy.

    Args:
        model: a functional or sequential `keras.Model` with `BatchNormalization`
            layers, compiled with its loss.
        x: inputs of the batch.
        y: targets of the batch.
        curvature_units: of how many units of each layer to measure second
            derivatives, for about eight passes through the network each.
        seed: decides which units those are.

    Returns:
        One `LayerUnits` per layer, from the input to the output.

    Raises:
        ValueError: the network cannot be measured; see `TappedNetwork`.
    """
    network = TappedNetwork(model, x, y)
    layers = network.normalizations
    inputs = [ops.convert_to_numpy(layer.seen) for layer in layers]
    zeros = [np.zeros_like(array) for array in inputs]

    def loss_at(shifts):
        before, after = shifts[: len(layers)], shifts[len(layers) :]
        return network.loss(dict(enumerate(before)), dict(enumerate(after)))

    slopes = autodiff.gradients(loss_at, [*zeros, *zeros])
    rng = np.random.default_rng(seed)
    measured = []
    for i, layer in enumerate(layers):
        unit = MeasuredUnit(
            y=layer.units(inputs[i]),
            gamma=1.0 if layer.gamma is None else ops.convert_to_numpy(layer.gamma),
            beta=0.0 if layer.beta is None else ops.convert_to_numpy(layer.beta),
            epsilon=layer.epsilon,
            bn_gradient=layer.units(slopes[i]),
            g=layer.units(slopes[len(layers) + i]),
        )
        k = min(curvature_units, len(unit.y))
        chosen = np.sort(rng.choice(len(unit.y), size=k, replace=False))
        curvature = _curvature(network, i, zeros[i], unit, chosen)
        measured.append(LayerUnits(layer.name, unit, curvature))
    return measured


def _curvature(network, i, zero, unit: MeasuredUnit, chosen) -> Curvature:
    """Measures the quadratic forms of the chosen units of layer i."""
    layer = network.normalizations[i]
    some = MeasuredUnit(
        y=unit.y[chosen],
        gamma=unit.gamma[chosen],
        beta=unit.beta[chosen],
        epsilon=unit.epsilon,
        g=unit.g[chosen],
        bn_gradient=unit.bn_gradient[chosen],
    )

    def forms(loss_at, *directions):
        """d^T H d of each unit for several ``[k, m]`` arrays of directions d."""
        arrays = [
            layer.channels(direction, channel)
            for units in directions
            for direction, channel in zip(units, chosen, strict=True)
        ]
        products = autodiff.hessian_vector_products(loss_at, zero, arrays)
        pairs = zip(arrays, products, strict=True)
        values = [np.vdot(array, product) for array, product in pairs]
        return np.reshape(values, (len(directions), len(chosen)))

    def from_y(shift):
        return network.loss({i: shift}, {})

    def from_z(shift):
        return network.loss({}, {i: shift})

    v, projected = some.bn_gradient, theorem_4_2.projected_gradient(some)
    (normalized,) = forms(from_y, v)
    along_v, along_g, along_projected = forms(from_z, v, some.g, projected)
    return Curvature(
        unit=some,
        normalized=normalized,
        along_v=along_v,
        along_g=along_g,
        equality=theorem_4_2.equality_right(some, along_projected),
    )


def summarize(layer: LayerUnits) -> dict:
    """The terms of Theorem 4.1 and the assumptions of 4.2 of one layer, as numbers.

    Sums over the layer's units of |v|^2 and of |g|^2 stand in the ratio

        smoothing = scale * (1 - mean_share - inner_share)

    mean_share and inner_share: the mean-gradient and the inner-product term over
    |g|^2, about 1 / m each if the entries of g were independent noise; scale: the
    mean of gamma^2 / sigma^2, each unit weighted by what the two terms leave of its
    |g|^2. balance: the sum of <z_j, g_j> over the units, over that of |<z_j, g_j>|.
    """
    unit, curvature = layer.unit, layer.curvature
    norm, mean_term, inner_term = theorem_4_1.terms(unit, unit.g)
    s = squared_norm(unit.y_hat) / unit.m
    inner_term = (2 - s) * inner_term
    left = squared_norm(unit.bn_gradient)
    rest = norm - mean_term - inner_term
    total = max(norm.sum(), TINY)
    equality = theorem_4_1.equality(unit)
    pull = dot(unit.z, unit.g)
    return {
        "layer": layer.layer,
        "units": len(unit.y),
        "m": unit.m,
        "mean_share": float(mean_term.sum() / total),
        "inner_share": float(inner_term.sum() / total),
        "scale": float(left.sum() / max(rest.sum(), TINY)),
        "scale_median": float(np.median(unit.ratio)),
        "sigma_median": float(np.median(unit.sigma)),
        "gamma_median": float(np.median(unit.gamma)),
        "smoothing": float(left.sum() / total),
        "balance": float(pull.sum() / max(np.abs(pull).sum(), TINY)),
        "v_shorter_than_g": int((left <= norm).sum()),
        "inner_product_nonnegative": int((dot(unit.g, unit.y_hat) >= 0).sum()),
        "theorem_4_1_violation": float(equality.violation.max()),
        "theorem_4_1_printed_holds": int(theorem_4_1.printed(unit).holds.sum()),
        **_summarize_curvature(curvature),
    }


def _summarize_curvature(curvature: Curvature) -> dict:
    """How many of the units meet each condition of Theorem 4.2 and its conclusions."""
    unit = curvature.unit
    v_squared, g_squared = squared_norm(unit.bn_gradient), squared_norm(unit.g)
    shorter = v_squared <= g_squared
    shorter_in_h = curvature.along_v <= curvature.along_g
    inner = dot(unit.g, unit.y_hat)
    shift = unit.gamma / (unit.m * unit.sigma**2) * inner * v_squared
    second_right = unit.ratio * curvature.along_g - shift
    terms = np.abs(curvature.equality) + unit.ratio * np.abs(curvature.along_v)
    violation = np.abs(curvature.normalized - curvature.equality) / np.maximum(
        terms, TINY
    )
    counts = {
        "curvature_nonnegative": (curvature.along_g >= 0) & (curvature.along_v >= 0),
        "order_preserved": shorter == shorter_in_h,
        "second_part_conditions": shorter & shorter_in_h & (curvature.along_v >= 0),
        "second_part_holds": curvature.normalized <= second_right,
        "more_predictive": curvature.normalized <= curvature.along_g,
    }
    return {
        "curvature_units": len(unit.y),
        **{name: int(count.sum()) for name, count in counts.items()},
        "theorem_4_2_violation": float(violation.max()),
    }


def smoothing_shares(rows: list[dict]) -> dict[str, float]:
    """How much of log(smoothing), summed over layers, each term of 4.1 accounts for.

    The two subtracted terms share log(1 - mean_share - inner_share) in proportion to
    their sizes. Layers that no gradient passes are left out.
    """
    logs = {"scale": 0.0, "mean": 0.0, "inner": 0.0}
    for row in rows:
        removed = row["mean_share"] + row["inner_share"]
        if not 0 < row["smoothing"] < math.inf:
            continue
        logs["scale"] += math.log(row["scale"])
        if removed > 0:
            subtracted = math.log(1 - removed)
            logs["mean"] += subtracted * row["mean_share"] / removed
            logs["inner"] += subtracted * row["inner_share"] / removed
    return logs
