"""Eigenvalues of a symmetric operator, by the Lanczos method.

Vectors are lists of NumPy arrays in the precision of the weights. They stay in host
memory, and their inner products are accumulated in float64. Only two Lanczos vectors
are kept and nothing is reorthogonalized: what rounding then adds are further copies of
eigenvalues that have already converged (Paige, 1976), which leaves the extreme ones and
their bounds correct.
"""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_bnsmooth.probes.vector_norms import accumulation_dtype

Vector = list[np.ndarray]


# Relative to the largest absolute eigenvalue, the latter in units of the precision.
_ORTHOGONAL = 0.01
_EXHAUSTED = 100
# Of `leading_eigenvectors`.
_PRODUCTS, _TOLERANCE = 30, 0.01
# Below it, terms of the sum may have been lost.
_SMALLEST_SQUARE = np.finfo(np.float64).tiny / np.finfo(np.float64).eps ** 2


@dataclasses.dataclass(frozen=True)
class RitzValue:
    """An approximate eigenvalue.

    Attributes:
        value: Ritz value.
        error_bound: An eigenvalue of the operator lies at most this far from `value`.
    """

    value: float
    error_bound: float

    def improved(self, other: "RitzValue") -> "RitzValue":
        """Returns the better of this value and a later one.

        The later one, if it is more accurate or if it is an eigenvalue that was not
        visible before.
        """
        new = abs(other.value - self.value) > self.error_bound + other.error_bound
        return other if new or other.error_bound <= self.error_bound else self


@dataclasses.dataclass(frozen=True)
class ExtremeEigenvalues:
    """Result of `extreme_eigenvalues`.

    Attributes:
        largest: The largest eigenvalue.
        smallest: The smallest eigenvalue.
        alignment: Squared cosine of the leading eigenvector and the given direction.
        asymmetry: By how much products u'(H v) and v'(H u) differ, relative to the
            largest absolute eigenvalue: rounding errors of the operator, if it is
            symmetric.
        iterations: Number of products.
    """

    largest: RitzValue
    smallest: RitzValue
    alignment: float
    asymmetry: float
    iterations: int


def extreme_eigenvalues(
    product: Callable[[Vector], Vector],
    start: Vector,
    direction: Vector,
    iterations: int,
    tolerance: float,
) -> ExtremeEigenvalues:
    """Computes the largest and the smallest eigenvalue of a symmetric operator H.

    Args:
        product: Returns H v as new arrays.
        start: Any vector that is not orthogonal to the eigenvectors that are looked
            for, such as a random one. Overwritten.
        direction: Vector of length 1 to compare with the leading eigenvector.
        iterations: Largest number of products.
        tolerance: Stops early when both error bounds are at most this fraction of their
            eigenvalues, twice in a row: an eigenvector that the start hardly contains
            stays invisible until others have converged.
    """
    unit = float(np.finfo(start[0].dtype).eps)
    v, previous = scaled(start, 1 / norm(start)), None
    del start  # would keep the memory of the first v
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    overlaps: list[float] = []
    largest = smallest = RitzValue(np.nan, np.inf)
    scale, asymmetry, alignment, accurate = 0.0, 0.0, np.nan, False
    for count in range(1, iterations + 1):
        overlaps.append(inner(v, direction))
        beta = off_diagonal[-1] if off_diagonal else 0.0
        w, entry, difference = _step(product, v, previous, beta)
        # After a small beta, rounding makes v less orthogonal to `previous`.
        if beta > _ORTHOGONAL * scale:
            asymmetry = max(asymmetry, difference)
        diagonal.append(entry)
        residual = norm(w)

        beside = np.diag(off_diagonal, 1)
        matrix = beside + np.diag(diagonal) + beside.T
        if not np.all(np.isfinite(matrix)) or not np.isfinite(residual):
            nothing = RitzValue(np.nan, np.nan)
            return ExtremeEigenvalues(nothing, nothing, np.nan, np.nan, count)
        values, vectors = np.linalg.eigh(matrix)
        scale = np.max(np.abs(values))
        # The products may be less precise than the dtype of the vectors.
        precision = max(unit, asymmetry / scale) if scale else unit
        bounds = residual * np.abs(vectors[-1]) + precision * scale
        # A converged eigenvector loses its orthogonality to the vectors that follow.
        if not largest.error_bound <= np.sqrt(precision) * scale:
            alignment = float(np.square(vectors[:, -1] @ overlaps))
        largest = largest.improved(RitzValue(float(values[-1]), float(bounds[-1])))
        smallest = smallest.improved(RitzValue(float(values[0]), float(bounds[0])))
        was_accurate = accurate
        accurate = all(
            ritz.error_bound <= tolerance * abs(ritz.value)
            for ritz in (largest, smallest)
        )
        # In an invariant subspace there is nothing else to find.
        exhausted = residual <= _EXHAUSTED * precision * scale
        if exhausted or (accurate and was_accurate):
            break
        off_diagonal.append(residual)
        previous, v = v, scaled(w, 1 / residual)
    relative = asymmetry / scale if scale else 0.0
    return ExtremeEigenvalues(largest, smallest, alignment, float(relative), count)


@dataclasses.dataclass(frozen=True)
class Quadrature:
    """Result of `quadrature`: J nodes, which are Ritz values, for a start u.

    Attributes:
        nodes: Ritz values, ascending, float64 [J].
        weights: Their weights, [J], which sum to 1: u' f(H) u / ||u||^2 is about the
            sum of f(node) times weight, and exactly that for polynomials f of a degree
            below 2 J.
        error_bounds: An eigenvalue of H lies at most this far from each node, [J], as
            do copies of it that rounding adds.
        mean: u' H u / ||u||^2.
        mean_square: ||H u||^2 / ||u||^2.
        asymmetry: As in `ExtremeEigenvalues`.
    """

    nodes: np.ndarray
    weights: np.ndarray
    error_bounds: np.ndarray
    mean: float
    mean_square: float
    asymmetry: float


def quadrature(
    product: Callable[[Vector], Vector], start: Vector, steps: int
) -> Quadrature | None:
    """Computes a Gauss quadrature of the spectrum of H as a start vector sees it.

    Args:
        product: Returns H v as new arrays.
        start: Vector u. Overwritten.
        steps: Largest number of products, positive.

    Returns:
        A `Quadrature`, or None if a product is not finite.
    """
    unit = float(np.finfo(start[0].dtype).eps)
    v, previous = scaled(start, 1 / norm(start)), None
    del start  # would keep the memory of the first v
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    scale, asymmetry = 0.0, 0.0
    for count in range(1, steps + 1):
        beta = off_diagonal[-1] if off_diagonal else 0.0
        w, entry, difference = _step(product, v, previous, beta)
        residual = norm(w)
        if not np.isfinite(entry) or not np.isfinite(residual):
            return None
        if beta > _ORTHOGONAL * scale:
            asymmetry = max(asymmetry, difference)
        diagonal.append(entry)
        scale = max(scale, abs(entry), beta, residual)
        precision = max(unit, asymmetry / scale) if scale else unit
        exhausted = residual <= _EXHAUSTED * precision * scale
        if exhausted or count == steps:
            break
        off_diagonal.append(residual)
        previous, v = v, scaled(w, 1 / residual)
    beside = np.diag(off_diagonal, 1)
    nodes, vectors = np.linalg.eigh(beside + np.diag(diagonal) + beside.T)
    first = off_diagonal[0] if off_diagonal else residual
    scale = np.max(np.abs(nodes))
    return Quadrature(
        nodes=nodes,
        weights=np.square(vectors[0]),
        error_bounds=residual * np.abs(vectors[-1]) + _EXHAUSTED * precision * scale,
        mean=diagonal[0],
        mean_square=diagonal[0] ** 2 + first**2,
        asymmetry=float(asymmetry / scale) if scale else 0.0,
    )


def _step(product, v, previous, beta):
    """Returns H v less its parts along v and `previous`, v'H v, and an asymmetry.

    The latter is |previous'(H v) - beta|, where beta is the same from the step before.
    """
    w = product(v)
    entry, difference = inner(v, w), 0.0
    add_scaled(w, -entry, v)
    if previous is not None:
        difference = abs(inner(previous, w) - beta)
        add_scaled(w, -beta, previous)
    # Subtracting once more removes the rounding error of the first time.
    correction = inner(v, w)
    add_scaled(w, -correction, v)
    return w, entry + correction, difference


def leading_eigenvectors(
    product: Callable[[Vector], Vector], start: Vector, count: int
) -> list[tuple[RitzValue, Vector]]:
    """Computes the `count` largest eigenvalues of H, descending, with eigenvectors.

    Keeps all Lanczos vectors, up to 31, and orthogonalizes against them, since an
    eigenvalue would otherwise be found several times. Stops when the error bounds are
    at most a hundredth of the eigenvalues.

    Args:
        product: Returns H v as new arrays.
        start: As in `extreme_eigenvalues`.
        count: Number of eigenvalues; there are fewer if the start holds no more, and
            none if a product is not finite.
    """
    unit = float(np.finfo(start[0].dtype).eps)
    basis, matrix = [scaled(start, 1 / norm(start))], np.zeros((_PRODUCTS, _PRODUCTS))
    for size in range(1, _PRODUCTS + 1):
        w = product(basis[-1])
        for _ in range(2):  # the second time removes the rounding error of the first
            for i, v in enumerate(basis):
                overlap = inner(v, w)
                matrix[i, size - 1] += overlap
                add_scaled(w, -overlap, v)
        residual = norm(w)
        if not np.isfinite(residual):
            return []
        values, vectors = np.linalg.eigh(matrix[:size, :size], UPLO="U")
        bounds = residual * np.abs(vectors[-1])
        good = bounds[-count:] <= _TOLERANCE * np.abs(values[-count:])
        exhausted = residual <= _EXHAUSTED * unit * np.max(np.abs(values))
        if exhausted or (size >= count and all(good)) or size == _PRODUCTS:
            break
        basis.append(scaled(w, 1 / residual))
    found = []
    for k in range(size)[::-1][:count]:
        vector = [np.zeros_like(part) for part in start]
        for weight, v in zip(vectors[:, k], basis, strict=True):
            add_scaled(vector, float(weight * np.sign(vectors[0, k])), v)
        found.append((RitzValue(float(values[k]), float(bounds[k])), vector))
    return found


def inner(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
    """Returns the inner product of two vectors, accumulated in float64."""
    return float(
        sum(
            np.einsum("i,i->", u.ravel(), v.ravel(), dtype=np.float64)
            for u, v in zip(a, b, strict=True)
        )
    )


def norm(a: Sequence[np.ndarray]) -> float:
    """Returns the l2 norm of a vector, accumulated in float64."""
    square = inner(a, a)
    if _SMALLEST_SQUARE < square < np.inf:
        return float(np.sqrt(square))
    # Squares of float64 numbers may have underflowed or overflowed.
    largest = max((float(np.max(np.abs(u), initial=0.0)) for u in a), default=0.0)
    if not 0 < largest < np.inf:
        return float(np.sqrt(square))
    relative = [u.astype(np.float64) / largest for u in a]
    return largest * float(np.sqrt(inner(relative, relative)))


def gaussian(generator: np.random.Generator, variables: Sequence) -> Vector:
    """Draws a vector with the shapes of variables, in the precision of each."""
    return [
        generator.standard_normal(tuple(v.shape), accumulation_dtype([v]))
        for v in variables
    ]


def scaled(a: Vector, factor: float) -> Vector:
    """Multiplies a vector by a number, in place, and returns it."""
    for u in a:
        u *= factor
    return a


def add_scaled(a: Vector, factor: float, b: Sequence[np.ndarray]) -> None:
    """Adds a multiple of `b` to `a`, in place."""
    for u, v in zip(a, b, strict=True):
        u += factor * v


def to_host(tensors: Sequence) -> Vector:
    """Returns copies of tensors, as float64 if they are, else as float32."""
    arrays = [keras.ops.convert_to_numpy(tensor) for tensor in tensors]
    return [
        np.array(array, np.float64 if array.dtype == np.float64 else np.float32)
        for array in arrays
    ]
