"""The counterexamples against numbers found with pencil and paper."""

import pytest

from apps.theory.counterexamples import counterexamples

# In order: left and right. e = (1, -2, 1), |e|^2 = 6, P = e e^T / 6.
BY_HAND = [
    # g = e_1 / 2, P g = e / 12: (1/4) (6 / 144).
    (1 / 96, 0),
    # v = e / 24, v_1^2 = 1 / 576; <g, y_hat> = -sqrt(3/8), gamma = 1 / sqrt(6): 3.
    (1 / 576, 1 / 2304),
    # v = 2 e, curvature 4 |v|^2 against 4 |e|^2; against |e|^2.
    (96, 24),
    (96, 6),
    # X^T P r with r = (0, 0, -3): (1, 1).
    (2**0.5, 0),
    # g_j = 0.06.
    (0.06, 0.0036),
    # 3 lambda^2 - 3.
    (0, -2.25),
    # v = 0; g_j = 2, <g, y_hat>^2 = 6: 4 - 6, 2 - 6, 2 - 6 / sqrt(3).
    (0, -2),
    (0, -4),
    (0, 2 - 6 / 3**0.5),
    # |e|^2 / delta^2.
    (6e6, 6),
    # W_0 = (1, -1), ray of (-1, -2): 2 (1 - 1 / 10).
    (1.8, 0),
    (1, 0),
    # kappa = <g, y_hat> |v|^2 / (3 gamma) = sqrt(6) (6 / 4) / (3 / sqrt(6)) = 3,
    # times 1 / 4.
    (-0.75, -0.75),
    # Closed form in test_ball.
    (0.84375, 0),
]


@pytest.mark.parametrize(
    ("example", "sides"), list(zip(counterexamples(), BY_HAND, strict=True))
)
def test_counterexample(example, sides):
    left, right = sides
    assert example.left == pytest.approx(left, rel=1e-9, abs=1e-12)
    assert example.right == pytest.approx(right, rel=1e-9, abs=1e-12)
    if "strictly" in example.form:
        assert example.left == pytest.approx(example.right)
    else:
        assert example.left > example.right + 1e-4
