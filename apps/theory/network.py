"""Theorems 4.1 and 4.2 on the units of a trained network.

The outputs y_j of a unit are the inputs of one channel of a batch normalization
layer: over the batch, or over batch, height and width. The rest of the network, its
later normalizations included, is the loss L(z_j), with all other units unchanged.
"""

import dataclasses
import math

import numpy as np
from keras import ops

from apps.theory import derivatives, theorem_4_1, theorem_4_2
from apps.theory.linear_algebra import dot
from apps.theory.problem import MeasuredUnit
from apps.theory.tapped_network import TappedNetwork

TINY = np.finfo(np.float64).tiny


@dataclasses.dataclass(frozen=True)
class LayerUnits:
    """All units of one batch normalization layer, and the curvature of k of them.

    H is the Hessian of L with respect to z_j, v and g are the gradients of L_hat with
    respect to y_j and of L with respect to z_j.

    Attributes:
        layer: The layer's name.
        unit: Outputs, gamma, beta and gradients of all units.
        curved: The k units.
        bn_along_v: v^T H_hat v ``[k]``.
        along_v: v^T H v ``[k]``.
        along_g: g^T H g ``[k]``.
        equality: Right side of the equality in Theorem 4.2's first part ``[k]``.
    """

    layer: str
    unit: MeasuredUnit
    curved: MeasuredUnit
    bn_along_v: np.ndarray
    along_v: np.ndarray
    along_g: np.ndarray
    equality: np.ndarray


def measure_units(
    model, x, y, curvature_units: int = 4, seed: int = 0
) -> list[LayerUnits]:
    """Measures the units of every batch normalization layer on one training batch.

    Runs a float64 copy of the network in training mode.

    Args:
        model: A functional or sequential `keras.Model` with `BatchNormalization`
            layers, compiled with its loss.
        x: Inputs of the batch.
        y: Targets of the batch.
        curvature_units: Number of units per layer whose second derivatives are
            measured, at the cost of about eight passes through the network each.
        seed: Selects these units.

    Returns:
        One `LayerUnits` per layer, from the input to the output.

    Raises:
        ValueError: The network cannot be measured; see `TappedNetwork`.
    """
    network = TappedNetwork(model, x, y)
    layers = network.normalizations
    inputs = [ops.convert_to_numpy(layer.seen) for layer in layers]
    zeros = [np.zeros_like(array) for array in inputs]

    def loss_at(shifts):
        before, after = shifts[: len(layers)], shifts[len(layers) :]
        return network.loss(dict(enumerate(before)), dict(enumerate(after)))

    slopes = derivatives.gradients(loss_at, [*zeros, *zeros])
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
        measured.append(_with_curvature(network, i, zeros[i], unit, chosen))
    return measured


def _with_curvature(network, i, zero, unit: MeasuredUnit, chosen) -> LayerUnits:
    """Adds the quadratic forms of the chosen units of layer i."""
    layer, curved = network.normalizations[i], unit.take(chosen)

    def forms(loss_at, *directions):
        """d^T H d of each unit for several ``[k, m]`` arrays of directions d."""
        arrays = [
            layer.channels(direction, channel)
            for units in directions
            for direction, channel in zip(units, chosen, strict=True)
        ]
        products = derivatives.hessian_vector_products(loss_at, zero, arrays)
        pairs = zip(arrays, products, strict=True)
        values = [np.vdot(array, product) for array, product in pairs]
        return np.reshape(values, (len(directions), len(chosen)))

    v = curved.bn_gradient
    (bn_along_v,) = forms(lambda shift: network.loss({i: shift}, {}), v)
    along_v, along_g, along_projected = forms(
        lambda shift: network.loss({}, {i: shift}),
        v,
        curved.g,
        curved.projected_gradient,
    )
    equality = theorem_4_2.equality_right(curved, along_projected)
    return LayerUnits(layer.name, unit, curved, bn_along_v, along_v, along_g, equality)


def summarize_layer(layer: LayerUnits) -> dict:
    """Returns the terms of Theorem 4.1 and the assumptions of 4.2 as numbers.

    The sums over the layer's units of |v|^2 and of |g|^2 have the ratio

        smoothing = scale * (1 - mean_share - inner_share)

    mean_share and inner_share: the mean-gradient and the inner-product term over
    |g|^2, about 1 / m each if the entries of g were independent noise; scale: the
    mean of gamma^2 / sigma^2, each unit weighted by the part of its |g|^2 that the two
    terms leave. balance: the sum of <z_j, g_j> over the units, over that of
    |<z_j, g_j>|. The second derivatives' entries count units that meet each condition
    of Theorem 4.2 and each conclusion.
    """
    unit, curved = layer.unit, layer.curved
    norm, mean_term, inner_term = theorem_4_1.terms(unit, unit.g)
    inner_term = (2 - unit.s) * inner_term
    rest = norm - mean_term - inner_term
    total = max(norm.sum(), TINY)
    pull = dot(unit.z, unit.g)

    shorter = curved.v_squared <= curved.g_squared
    shorter_in_h = layer.along_v <= layer.along_g
    shift = curved.gamma / (curved.m * curved.sigma**2) * curved.inner
    second_right = curved.ratio * layer.along_g - shift * curved.v_squared
    size = np.abs(layer.equality) + curved.ratio * np.abs(layer.along_v)
    second_violation = np.abs(layer.bn_along_v - layer.equality) / np.maximum(
        size, TINY
    )
    counts = {
        "curvature_nonnegative": (layer.along_g >= 0) & (layer.along_v >= 0),
        "order_preserved": shorter == shorter_in_h,
        "second_part_conditions": shorter & shorter_in_h & (layer.along_v >= 0),
        "second_part_holds": layer.bn_along_v <= second_right,
        "more_predictive": layer.bn_along_v <= layer.along_g,
    }
    return {
        "layer": layer.layer,
        "units": len(unit.y),
        "m": unit.m,
        "mean_share": float(mean_term.sum() / total),
        "inner_share": float(inner_term.sum() / total),
        "scale": float(unit.v_squared.sum() / max(rest.sum(), TINY)),
        "scale_median": float(np.median(unit.ratio)),
        "sigma_median": float(np.median(unit.sigma)),
        "gamma_median": float(np.median(unit.gamma)),
        "smoothing": float(unit.v_squared.sum() / total),
        "balance": float(pull.sum() / max(np.abs(pull).sum(), TINY)),
        "v_shorter_than_g": int((unit.v_squared <= norm).sum()),
        "inner_product_nonnegative": int((unit.inner >= 0).sum()),
        "theorem_4_1_violation": float(theorem_4_1.equality(unit).violation.max()),
        "theorem_4_1_printed_holds": int(theorem_4_1.printed(unit).holds.sum()),
        "curvature_units": len(curved.y),
        **{name: int(count.sum()) for name, count in counts.items()},
        "theorem_4_2_violation": float(second_violation.max()),
    }


def smoothing_shares(rows: list[dict]) -> dict[str, float]:
    """Splits log(smoothing), summed over layers, into the terms of Theorem 4.1.

    The two subtracted terms share log(1 - mean_share - inner_share) in proportion to
    their sizes. Layers without any gradient are left out.
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
