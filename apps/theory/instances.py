"""Random problems: instance i is drawn from the seed i alone."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from apps.theory.losses import Quadratic, Ridges, SoftmaxCrossEntropy
from apps.theory.problem import Problem
from apps.theory.regression import Regression

BATCH_SIZES = (3, 4, 8, 16, 32, 64)
LOSSES = ("quadratic", "softmax of a ReLU layer", "softmax of a tanh layer", "ridges")
HIDDEN_UNITS, CLASSES, WAVES, FEATURES = 3, 4, 4, 4


class Instances(NamedTuple):
    """Problems of one batch size and one kind of loss, and their layers.

    Attributes:
        seeds: one per instance; `draw([seed])` gives that instance again.
        problem: the unit's outputs, the loss, gamma, beta.
        direction: of the unit's weights W_.j, ``[n, d]``.
        bound: lambda, the bound on the norm of the layer's inputs.
        contraction: a random ``[m, d]`` matrix of norm at most 1.
        regression: a least-squares problem of the same batch size, d = 2.
        start: an initialization W_0 of its weights, ``[n, 2]``.
        optima: three more points ``[n, 3, 2]``.
    """

    seeds: np.ndarray
    problem: Problem
    direction: np.ndarray
    bound: np.ndarray
    contraction: np.ndarray
    regression: Regression
    start: np.ndarray
    optima: np.ndarray


def draw_groups(seeds) -> Iterator[Instances]:
    """Draws the instances of these seeds, grouped by batch size and loss."""
    groups: dict[int, list[int]] = {}
    for seed in seeds:
        groups.setdefault(seed % (len(BATCH_SIZES) * len(LOSSES)), []).append(seed)
    for _, members in sorted(groups.items()):
        yield draw(members)


def draw(seeds: list[int]) -> Instances:
    """Draws the instances of these seeds, of which the batch size and loss agree."""
    kinds = {batch_size_and_loss(seed) for seed in seeds}
    if len(kinds) != 1:
        raise ValueError(f"The seeds must share one batch size and loss, not {kinds}.")
    ((m, loss),) = kinds
    draws = [_draw_one(seed, m, loss) for seed in seeds]
    arrays = {key: np.stack([one[key] for one in draws]) for key in draws[0]}
    parameters = {
        key.removeprefix("loss_"): value
        for key, value in arrays.items()
        if key.startswith("loss_")
    }
    return Instances(
        seeds=np.asarray(seeds),
        problem=Problem(
            loss=_LOSS_CLASSES[loss](**parameters),
            y=arrays["y"],
            gamma=arrays["gamma"],
            beta=arrays["beta"],
        ),
        direction=arrays["direction"],
        bound=arrays["bound"],
        contraction=arrays["contraction"],
        regression=Regression(arrays["X"], arrays["t"]),
        start=arrays["start"],
        optima=arrays["optima"],
    )


def batch_size_and_loss(seed: int) -> tuple[int, str]:
    """The batch size and the kind of loss that a seed stands for."""
    loss, size = divmod(seed % (len(BATCH_SIZES) * len(LOSSES)), len(BATCH_SIZES))
    return BATCH_SIZES[size], LOSSES[loss]


def _draw_one(seed: int, m: int, loss: str) -> dict[str, np.ndarray]:
    """One instance: sigma, gamma and the loss over orders of magnitude."""
    rng = np.random.default_rng(seed)
    scale = 10 ** rng.uniform(-2, 2)
    gamma = 10 ** rng.uniform(-1, 1) * (-1 if rng.uniform() < 0.1 else 1)
    beta = abs(gamma) * rng.normal()
    y_hat = rng.normal(size=m)
    y_hat = (y_hat - y_hat.mean()) / y_hat.std()
    contraction = rng.normal(size=(m, FEATURES))
    contraction *= rng.uniform() / np.linalg.norm(contraction, ord=2)
    return {
        "y": scale * (3 * rng.normal() + y_hat),
        "gamma": gamma,
        "beta": beta,
        "direction": rng.normal(size=FEATURES),
        "bound": 10 ** rng.uniform(-1, 1),
        "contraction": contraction,
        "X": rng.normal(size=(m, 2)) + rng.normal(size=2),
        "t": rng.normal(size=m) + rng.normal(),
        "start": rng.normal(size=2),
        "optima": rng.normal(size=(3, 2)),
        **{
            f"loss_{key}": value
            for key, value in _PARAMETERS[loss](rng, m, abs(gamma), beta).items()
        },
    }


def _quadratic(rng, m, gamma, beta) -> dict[str, np.ndarray]:
    root = rng.normal(size=(m, m)) / np.sqrt(m)
    A = 10 ** rng.uniform(-2, 2) * root @ root.T
    return {"A": A, "t": beta + gamma * rng.normal(size=m)}


def _softmax(rng, m, gamma, beta) -> dict[str, np.ndarray]:
    return {
        "a": rng.normal(size=HIDDEN_UNITS) / gamma,
        "c": rng.normal(size=(m, HIDDEN_UNITS)),
        "V": 10 ** rng.uniform(-1, 1) * rng.normal(size=(HIDDEN_UNITS, CLASSES)),
        "labels": np.eye(CLASSES)[rng.integers(CLASSES, size=m)],
        "scale": 10 ** rng.uniform(-2, 2),
    }


def _ridges(rng, m, gamma, beta) -> dict[str, np.ndarray]:
    return {
        "a": rng.normal(size=WAVES) * 10 ** rng.uniform(-2, 2),
        "c": rng.normal(size=(WAVES, m)) / gamma,
        "p": rng.uniform(0, 2 * np.pi, size=WAVES),
        "q": rng.normal(),
        "t": beta + gamma * rng.normal(size=m),
    }


def _relu_softmax(**parameters):
    return SoftmaxCrossEntropy(**parameters, activation="relu")


def _tanh_softmax(**parameters):
    return SoftmaxCrossEntropy(**parameters, activation="tanh")


_PARAMETERS = dict(zip(LOSSES, (_quadratic, _softmax, _softmax, _ridges), strict=True))
_LOSS_CLASSES = dict(
    zip(LOSSES, (Quadratic, _relu_softmax, _tanh_softmax, Ridges), strict=True)
)
