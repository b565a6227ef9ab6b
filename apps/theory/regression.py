"""Least squares of one unit: the optima of the normal and the normalized network."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Regression:
    r"""Inputs X ``[n, m, d]`` of a layer without bias and targets t ``[n, m]``.

    The normal network minimizes ``1/2 |X w - t|^2``, the normalized one
    ``1/2 |BN(X w) - t|^2`` at any fixed gamma > 0 and beta.
    """

    X: np.ndarray
    t: np.ndarray

    def centred(self) -> "Regression":
        """The same with inputs of mean zero over the batch."""
        return Regression(centre(self.X), self.t)

    def optimum(self) -> np.ndarray:
        """W*, the optimum of the normal network: least squares on X, ``[n, d]``."""
        return least_squares(self.X, self.t)

    def bn_direction(self) -> np.ndarray:
        r"""The optima of the normalized network: the ray {a w: a > 0} of this w.

        Among the outputs of mean beta and standard deviation gamma the nearest to t
        are those most correlated with t, whatever gamma and beta. They are least
        squares on X **and a constant**, of which the constant is dropped.
        """
        return least_squares(centre(self.X), self.t)


def centre(X: np.ndarray) -> np.ndarray:
    """Inputs less their mean over the batch, ``[n, m, d]``."""
    return X - X.mean(axis=1, keepdims=True)


def with_bias(X: np.ndarray) -> np.ndarray:
    """Inputs of a layer with a bias: a further input that is always 1."""
    return np.concatenate([X, np.ones_like(X[..., :1])], axis=-1)


def least_squares(X: np.ndarray, t: np.ndarray) -> np.ndarray:
    """argmin_w |X w - t| of each instance, the shortest if there are several."""
    return np.einsum("ndm,nm->nd", np.linalg.pinv(X), t)
