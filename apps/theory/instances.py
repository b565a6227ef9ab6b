"""Random problems: instance i depends on the seed i alone."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from apps.theory.layer import Layer
from apps.theory.lemma_4_5 import Regression
from apps.theory.losses import Quadratic, Ridges, SoftmaxCrossEntropy
from apps.theory.problem import Problem

BATCH_SIZES = (3, 4, 8, 16, 32, 64)
HIDDEN_UNITS, CLASSES, WAVES, FEATURES = 3, 4, 4, 4


class Instances(NamedTuple):
    """Problems of one batch size and one kind of loss, and their layers.

    Attributes:
        seeds: One per instance; `draw_instances([seed])` gives that instance again.
        problem: The unit's outputs, the loss, gamma, beta.
        layer: The layer before the unit, d = 4.
        regression: A least-squares problem of the same batch size, d = 2.
        start: An initialization W_0 of its weights, ``[n, 2]``.
        optima: Three more points ``[n, 3, 2]``.
    """

    seeds: np.ndarray
    problem: Problem
    layer: Layer
    regression: Regression
    start: np.ndarray
    optima: np.ndarray


def draw_groups(seeds) -> Iterator[Instances]:
    """Draws the instances of these seeds, grouped by batch size and loss."""
    groups: dict[int, list[int]] = {}
    for seed in seeds:
        groups.setdefault(seed % (len(BATCH_SIZES) * len(LOSSES)), []).append(seed)
    for _, members in sorted(groups.items()):
        yield draw_instances(members)


def draw_instances(seeds: list[int]) -> Instances:
    """Draws the instances of these seeds.

    Raises:
        ValueError: The seeds differ in batch size or loss.
    """
    kinds = {batch_size_and_loss(seed) for seed in seeds}
    if len(kinds) != 1:
        raise ValueError(f"The seeds must share one batch size and loss, not {kinds}.")
    ((m, loss),) = kinds
    make_loss, draw_parameters = _KINDS[loss]
    drawn = [_draw_one(seed, m, draw_parameters) for seed in seeds]
    arrays, parameters = (
        {name: np.stack([part[name] for part in parts]) for name in parts[0]}
        for parts in zip(*drawn, strict=True)
    )
    problem = Problem(
        loss=make_loss(**parameters),
        **{name: arrays[name] for name in ("y", "gamma", "beta")},
    )
    layer = (arrays[name] for name in ("bound", "direction", "contraction"))
    return Instances(
        seeds=np.asarray(seeds),
        problem=problem,
        layer=Layer(problem, *layer),
        regression=Regression(arrays["X"], arrays["t"]),
        start=arrays["start"],
        optima=arrays["optima"],
    )


def batch_size_and_loss(seed: int) -> tuple[int, str]:
    """Returns the batch size and the kind of loss that a seed selects."""
    loss, size = divmod(seed % (len(BATCH_SIZES) * len(LOSSES)), len(BATCH_SIZES))
    return BATCH_SIZES[size], LOSSES[loss]


def _draw_one(seed, m, draw_parameters) -> tuple[dict, dict]:
    """Draws one instance and its loss's parameters, over orders of magnitude."""
    rng = np.random.default_rng(seed)
    scale = 10 ** rng.uniform(-2, 2)
    gamma = 10 ** rng.uniform(-1, 1) * (-1 if rng.uniform() < 0.1 else 1)
    beta = abs(gamma) * rng.normal()
    y_hat = rng.normal(size=m)
    y_hat = (y_hat - y_hat.mean()) / y_hat.std()
    contraction = rng.normal(size=(m, FEATURES))
    contraction *= rng.uniform() / np.linalg.norm(contraction, ord=2)
    instance = {
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
    }
    return instance, draw_parameters(rng, m, abs(gamma), beta)


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


# Each loss and its random parameters.
_KINDS = {
    "quadratic": (Quadratic, _quadratic),
    "softmax of a ReLU layer": (SoftmaxCrossEntropy, _softmax),
    "softmax of a tanh layer": (
        functools.partial(SoftmaxCrossEntropy, activation="tanh"),
        _softmax,
    ),
    "ridges": (Ridges, _ridges),
}
LOSSES = tuple(_KINDS)
