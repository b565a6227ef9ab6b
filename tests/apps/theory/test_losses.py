"""The losses against the same written out sample by sample."""

import numpy as np
import pytest

from apps.theory.losses import Quadratic, Ridges, SoftmaxCrossEntropy


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_quadratic(rng):
    A, t, u = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 0.0]), [2.0, 1.0]
    loss = Quadratic(A[None], t[None])
    # (1, 1) A (1, 1)^T = 7.
    assert float(loss(np.array([u]))[0]) == 3.5


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_softmax_cross_entropy(rng, activation):
    a, c = rng.normal(size=2), rng.normal(size=(3, 2))
    V, labels, u = rng.normal(size=(2, 4)), [2, 0, 3], rng.normal(size=3)
    total = 0.0
    for b in range(3):
        hidden = a * u[b] + c[b]
        hidden = np.maximum(hidden, 0) if activation == "relu" else np.tanh(hidden)
        odds = np.exp(hidden @ V)
        total -= np.log(odds[labels[b]] / odds.sum())
    one_hot = np.eye(4)[labels]
    loss = SoftmaxCrossEntropy(
        a[None], c[None], V[None], one_hot[None], np.array([5.0]), activation
    )
    assert float(loss(u[None])[0]) == pytest.approx(5 * total / 3, rel=1e-13)


def test_ridges(rng):
    a, p, c = rng.normal(size=2), rng.normal(size=2), rng.normal(size=(2, 3))
    q, t, u = 0.7, rng.normal(size=3), rng.normal(size=3)
    expected = sum(a[k] * np.sin(c[k] @ u + p[k]) for k in range(2))
    expected += q * np.log1p(np.linalg.norm(u - t) ** 2)
    loss = Ridges(a[None], c[None], p[None], np.array([q]), t[None])
    assert float(loss(u[None])[0]) == pytest.approx(expected, rel=1e-13)
