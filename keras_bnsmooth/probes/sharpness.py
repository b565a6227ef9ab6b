"""Curvature of the training loss: extreme eigenvalues of its Hessian."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_bnsmooth import autodiff
from keras_bnsmooth.autodiff.function_cache import once
from keras_bnsmooth.probes.arguments import check_counts, check_model, to_tensors
from keras_bnsmooth.probes.derivatives import check_derivatives, check_symmetry
from keras_bnsmooth.probes.determinism import raise_changed, relative_tolerance
from keras_bnsmooth.probes.lanczos import (
    Vector,
    add_scaled,
    extreme_eigenvalues,
    inner,
    norm,
    scaled,
    to_host,
)


@dataclasses.dataclass(frozen=True)
class Sharpness:
    """Curvature of the training loss L at the weights W.

    H is the Hessian of L, in training mode, with regularizers and with the noise and
    dropout of this batch held; g is the gradient, u = g / ||g||.

    Attributes:
        loss: L(W).
        gradient_norm: ||g||.
        sharpness: Largest eigenvalue of H. Gradient descent with a learning rate above
            2 / sharpness is unstable in its direction (Cohen et al., 2021).
        error_bound: An eigenvalue of H lies at most this far from `sharpness`:
            ||H v - sharpness v|| for the approximate eigenvector v, plus the observed
            rounding error of H v.
        lowest_eigenvalue: Smallest eigenvalue of H.
        lowest_error_bound: Its error bound.
        gradient_curvature: u' H u, the curvature along the gradient; NaN if g = 0.
        gradient_alignment: (u' v)^2, the share of the gradient in the leading
            eigenvector v; NaN if g = 0.
        iterations: Products with H that the eigenvalues took.
        asymmetry: |u' H v - v' H u| for Lanczos vectors u and v, relative to the
            largest absolute eigenvalue: the observed rounding error of products with H.
    """

    loss: float
    gradient_norm: float
    sharpness: float
    error_bound: float
    lowest_eigenvalue: float
    lowest_error_bound: float
    gradient_curvature: float
    gradient_alignment: float
    iterations: int
    asymmetry: float

    @property
    def note(self) -> str:
        """What numbers cannot be relied on and why, in sentences; "" if all can."""
        if np.isnan(self.sharpness):
            return "The loss or its gradient is not finite, so there is no curvature."
        sentences = []
        for name, value, bound in (
            ("largest", self.sharpness, self.error_bound),
            ("smallest", self.lowest_eigenvalue, self.lowest_error_bound),
        ):
            if bound > _COARSE * abs(value):
                sentences.append(
                    f"The {name} eigenvalue, {value:.3g}, may be off by {bound:.2g}; "
                    "more iterations may bring it closer."
                )
        if self.gradient_norm == 0:
            sentences.append("The gradient is zero, so nothing lies along it.")
        return " ".join(sentences)


# Relative error bound beyond which a note says so.
_COARSE = 0.1


def sharpness(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    iterations: int = 20,
    tolerance: float = 0.01,
    sample_weight: Any = None,
    seed: int = 0,
    loss: autodiff.Loss | None = None,
) -> Sharpness:
    """Measures the largest and the smallest eigenvalue of the Hessian.

    Uses the Lanczos method on exact products of the Hessian H and a vector. It starts
    from the gradient plus a random vector of the same length, and stops when both error
    bounds are at most the fraction `tolerance` of their eigenvalues. Kinks, as of ReLU,
    have no part in H.

    Costs one product more than the iterations, about two evaluations of the gradient
    each, and one gradient. Nothing is reorthogonalized, so that memory does not grow
    with the iterations. Beyond what differentiating twice needs, it is six copies of
    the weights, and a temporary one of the largest: the gradient and three Lanczos
    vectors on the host, a vector and its product on the device.

    The first call for a compiled model also checks that its gradient and its second
    derivative are those of the loss, and that evaluations agree.

    Args:
        model: A built, compiled `keras.Model`.
        x: Inputs of one batch, as `model.fit` takes them.
        y: Targets of the batch, or None if the model has none.
        iterations: Largest number of Lanczos iterations, positive. If it is too small
            for the tolerance, the error bounds say so.
        tolerance: Relative error bound to stop at, not negative.
        sample_weight: Weights of the samples, or None.
        seed: Integer that determines the random start.
        loss: What to measure instead of the compiled loss, a function
            `(model, x, y, sample_weight) -> scalar`, see `landscape`.

    Returns:
        A `Sharpness`. All entries but `loss` and `gradient_norm` are NaN if loss or
        gradient are not finite.

    Raises:
        ValueError: The model is not built, not compiled or has no trainable weights;
            the batch does not fit it; iterations or tolerance are out of range; or the
            model's second derivative is not available: an operation lacks one or
            defines its own gradient, or part of the gradient is stopped; two
            evaluations at the same weights differ.

    Example:
    ```python
    r = kb.probes.sharpness(model, x, y)
    print(f"stable at learning rates below {2 / r.sharpness:.3g}")
    ```
    """
    with autodiff.objective(model, loss):
        batch = to_tensors(model, x, y, sample_weight)
        check_model(model)
        check_lanczos(iterations, tolerance)
        once(model, check_sharpness)(batch)
        r = measure_sharpness(model, batch, iterations, tolerance, seed)
        check_symmetry(model, r.asymmetry)
        return r


def check_sharpness(model: keras.Model, batch: tuple) -> None:
    """Raises a ValueError unless a model has a second derivative, always the same.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
    """
    first, second = (
        measure_sharpness(model, batch, iterations=2, tolerance=0.0, seed=0)
        for _ in range(2)
    )
    for name in ("loss", "gradient_norm", "sharpness"):
        one, other = getattr(first, name), getattr(second, name)
        if abs(one - other) > relative_tolerance(model) * abs(one):
            raise_changed(model, "loss, gradient or curvature")
    # Only now, since random numbers would make derivatives look wrong.
    check_derivatives(model, batch)
    check_symmetry(model, first.asymmetry)


def check_lanczos(iterations: Any, tolerance: Any) -> None:
    """Raises a ValueError unless the options of `sharpness` are valid."""
    check_counts(iterations=iterations)
    if not 0 <= tolerance < np.inf:
        raise ValueError(
            f"tolerance must be a finite number, 0 or larger; received {tolerance!r}."
        )


def measure_sharpness(
    model: keras.Model,
    batch: tuple,
    iterations: int,
    tolerance: float,
    seed: int | list[int],
    weights: Sequence | None = None,
) -> Sharpness:
    """Computes a `Sharpness` from validated arguments.

    Args:
        model: The model.
        batch: (x, y, sample_weight) as tensors.
        iterations: Largest number of Lanczos iterations.
        tolerance: Relative error bound to stop at.
        seed: Integer, or a list of integers.
        weights: W, or None for the present values.
    """
    loss, gradient, multiply = autodiff.linearize(model, *batch, weights=weights)
    gradient = to_host(gradient)
    gradient_norm = norm(gradient)
    dtypes = [v.dtype for v in model.trainable_variables]

    def product(vector):
        tensors = [
            ops.convert_to_tensor(part, dtype)
            for part, dtype in zip(vector, dtypes, strict=True)
        ]
        return to_host(multiply(tensors))

    curvature = np.nan
    if gradient_norm > 0 and np.isfinite(gradient_norm):
        u = scaled(gradient, 1 / gradient_norm)
        curvature = inner(u, product(u))
    r = extreme_eigenvalues(
        product, _start(gradient, seed), gradient, iterations, tolerance
    )
    return Sharpness(
        loss=float(loss),
        gradient_norm=gradient_norm,
        sharpness=r.largest.value,
        error_bound=r.largest.error_bound,
        lowest_eigenvalue=r.smallest.value,
        lowest_error_bound=r.smallest.error_bound,
        gradient_curvature=curvature,
        gradient_alignment=r.alignment if gradient_norm > 0 else np.nan,
        iterations=r.iterations,
        asymmetry=r.asymmetry,
    )


def _start(u: Vector, seed) -> Vector:
    """Returns a random vector plus one of the same length along the gradient."""
    generator = np.random.default_rng(seed)
    start = [generator.standard_normal(part.shape, part.dtype) for part in u]
    length = norm(u)
    if 0 < length < np.inf:
        add_scaled(start, norm(start) / length, u)
    # With a single weight, the two may cancel.
    return start if norm(start) > 0 else [np.ones_like(part) for part in u]
