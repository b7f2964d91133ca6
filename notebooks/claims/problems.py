"""Problems and functions that several claims share."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from sedyn import (
    AssumptionWarning,
    Network,
    Overlaps,
    SingleIndex,
    Training,
    Trajectory,
    Weights,
    augmented_gradient_descent,
    random_signal,
)

from .base import Array


def three_layers(T: int) -> tuple[Network, Training, SingleIndex, Overlaps, float]:
    """Three layers with correlated neurons that already see the signal and a step size per layer."""
    deep = (np.array([[0.9, -0.4], [0.2, 0.8], [-0.6, 0.5]]), np.array([[1.0], [-0.7]]))
    gram = np.array([[1.0, 0.4, -0.2], [0.4, 0.8, 0.1], [-0.2, 0.1, 1.2]])
    return (
        Network((3, 2, 1), ("tanh", "tanh", "identity")),
        Training((0.3, 0.2, 0.25), T),
        SingleIndex(lambda z: np.tanh(2 * z), 0.3),
        Overlaps(gram, np.array([0.3, -0.2, 0.5]), 1.2, deep),
        1.5,
    )


THREE_LAYERS = "widths (3, 2, 1), tanh, tanh, identity, all layers trained, m/n = 1.5, link tanh(2z), noise 0.3"


UNIVERSAL = {
    "Gaussian": "gaussian",
    "Rademacher": "rademacher",
    "uniform": "uniform",
    "Laplace": "laplace",
    "Student t, 10 d.f.": ("student_t", 10),
    "sparse, density 0.2": ("sparse", 0.2),
}


def row_scales(rng, shape):
    """Gaussian rows, each times its own random factor, 0.2 or 1.4: uncorrelated, of variance 1, and dependent."""
    return rng.standard_normal(shape) * rng.choice([0.2, 1.4], (shape[0], 1))


def fresh_error(network, teacher, weights: Weights, signal: Array, features, rng, rows_per_feature: int = 5) -> float:
    """Generalization error on fresh rows of this ensemble; the label noise is independent of everything there and
    enters by its variance."""
    X, _ = teacher.sample(rows_per_feature * len(signal), signal, features=features, rng=rng)
    return float(np.mean((network.predict(weights, X) - teacher.mean_label(X @ signal)) ** 2)) + teacher.noise**2


def estimated_run(network, training, weights, X, y, **options) -> Trajectory:
    """`augmented_gradient_descent` without its warnings, which some of many random problems are bound to cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        return augmented_gradient_descent(network, training, weights, X, y, **options)


ESTIMATION_NETWORKS = {2: ((3, 1), ("tanh", "identity")), 3: ((3, 2, 1), ("tanh", "tanh", "identity"))}


class RandomProblem(NamedTuple):
    """A teacher, a signal and rows drawn from it, and something to learn them with."""

    teacher: SingleIndex
    signal: Array
    X: Array
    y: Array
    network: Network
    training: Training
    weights: Weights


LINKS = ("tanh", "sine", lambda z: z + 0.5 * np.sin(2 * z), lambda z: np.tanh(2 * z) + 0.3 * z**2)


def random_problem(n: int, T: int, rng) -> RandomProblem:
    """Link, noise, aspect ratio, depth, width, step size and initial scale at random."""
    teacher, signal = SingleIndex(LINKS[rng.integers(len(LINKS))], rng.uniform(0.3, 1.2)), random_signal(n, rng=rng)
    X, y = teacher.sample(round(n * np.exp(rng.uniform(np.log(0.8), np.log(3)))), signal, rng=rng)
    depth = rng.integers(2, 4)
    network = Network((int(rng.integers(1, 5)), *(2,) * (depth - 2), 1), ("tanh",) * (depth - 1) + ("identity",))
    weights = network.init(n, scale=rng.uniform(0.3, 1.0), rng=rng)
    return RandomProblem(teacher, signal, X, y, network, Training(rng.uniform(0.2, 0.5), T), weights)
