"""Checks of the topic on correlated features, batches and losses."""

from dataclasses import replace
from functools import cache

import numpy as np

import sedyn

from .exercises import NotYet, exercise, function, listed, number, numbers

BETA, STEP = 0.95, 0.2


@exercise(
    "correlations_batches_losses.1",
    "Let the gradient be 1 at every step. How far does each of the two rules move in a step, once it moves steadily?",
    "In steady motion v = beta v - step * gradient. Solve for v, and ask that v = -0.2 * gradient.",
)
def pace(answer):
    step = number(answer)
    if step <= 0:
        raise NotYet("a step size is positive")
    times = step / (1 - BETA) / STEP  # of the pace of plain gradient descent, on an even slope
    if abs(times - 1) < 0.01:
        return "in steady motion it moves by 0.2 in a step, as plain gradient descent"
    if abs(step - STEP / (1 - BETA)) < 0.05:
        raise NotYet("the other way round: momentum makes steps longer, so that the step size must shrink")
    if abs(step - STEP * BETA) < 0.002:
        raise NotYet(
            "a ball in steady motion is not slowed to 0.95 of a step: it adds up all past steps, 1 + beta + .."
        )
    if times > 1:
        raise NotYet(f"with this step size it is {times:.3g} times as fast; momentum makes steps longer")
    raise NotYet(f"it has {times:.3g} of the pace; in steady motion v = beta v - step * gradient: solve for v")


@exercise(
    "correlations_batches_losses.2",
    "The derivative is taken in the network's output f, at a fixed label y.",
    "The derivative of log cosh(r) is sinh(r) / cosh(r); numpy has a function for it.",
)
def derivative_of_log_cosh(answer):
    derivative = function(answer)
    f, y = np.random.default_rng(70).standard_normal((2, 50)) * 2
    given = derivative(f.copy(), y.copy())
    if np.ndim(given) != 1 or np.shape(given) != f.shape:
        raise NotYet(f"one number for each row is wanted, shape {f.shape}; got shape {np.shape(given)}")
    given = numbers(given, len(f), what="the derivative")

    def loss(f):
        return np.log(np.cosh(f - y))

    truth = (loss(f + 1e-5) - loss(f - 1e-5)) / 2e-5
    for candidate, mistake in (
        (-truth, "that is the derivative in y; in f the sign is the other"),
        (loss(f), "that is the loss itself; training needs its derivative in f"),
        (f - y, "that is the derivative of the squared loss: right for small residuals alone"),
        (np.sign(f - y), "that is the derivative of the absolute loss: right for large residuals alone"),
        (1 - truth**2, "that is the second derivative; training needs the first"),
    ):
        if np.allclose(given, candidate, atol=1e-4):
            raise NotYet(mistake)
    if not np.allclose(given, truth, rtol=1e-4, atol=1e-4):
        raise NotYet("that is not the derivative of log cosh(f - y) in f")
    return "now hold theory against runs"


GRID = (0.0, 0.1, 0.2, 0.3)


@cache
def zero_one_errors():
    """Zero-one errors on fresh rows of the notebook's network after 48 steps, for each weight decay."""
    n = 400
    rng = np.random.default_rng(2)
    signals = np.linalg.qr(rng.standard_normal((n, 2)))[0] @ np.array([[1.0, 0.5], [0.0, 0.8]])
    network = sedyn.Network((2, 2, 1), ("tanh", "tanh", "identity"), bias=True)
    start = network.init(n, rng=rng)
    deep = (np.array([[0.9, -0.4], [0.3, 0.8]]), np.array([[1.0], [-0.7]]))
    start = sedyn.Weights(start.first + 0.3 * signals, deep, start.biases)
    teacher = sedyn.MultiIndex(
        lambda Z, xi: np.where(Z[0] - np.tanh(2 * Z[1]) + 0.3 + 0.4 * xi > 0, 1.0, -1.0), n_indices=2, noise=None
    )
    training = sedyn.Training(lambda t: 0.3 / (1 + 0.03 * t), 48, momentum=0.5, batch_fraction=0.5, loss="logistic")
    variances = sedyn.block_variances(n, [(0.2, 3.0), (0.8, 0.5)])
    overlaps = sedyn.Overlaps.of(start, signals, covariance=variances)
    ends = {}
    for decay in GRID:
        theory = sedyn.state_evolution(
            network,
            replace(training, weight_decay=decay),
            teacher,
            overlaps,
            1.5,
            n_paths=2**13,
            n_scrambles=2,
            metrics=["zero_one"],
            rng=1,
        )
        ends[decay] = float(np.asarray(theory.generalization_metrics)[-1, 0])
    return ends


@exercise(
    "correlations_batches_losses.3",
    "Call zero_one_at_end for every value of the grid and look at the four numbers.",
    "A network that gives the same answer to every row has the share of the rarer class as its zero-one error.",
)
def how_much_decay(answer):
    best, deadly = (float(value) for value in numbers(listed(answer), 2, what="the answer, a pair (best, deadly),"))
    ends = zero_one_errors()
    for name, given in (("best", best), ("deadly", deadly)):
        if not np.isclose(GRID, given, atol=1e-3).any():
            raise NotYet(f"{name}: the answer is one of the values of decay_grid; got {given:.3g}")
    best, deadly = (min(GRID, key=lambda decay: abs(decay - given)) for given in (best, deadly))
    if ends[best] > min(ends.values()) + 0.004:
        raise NotYet(f"best: at {best:g} the zero-one error at the end is about {ends[best]:.2f}; another one has less")
    if ends[deadly] < 0.35:
        raise NotYet(f"deadly: at {deadly:g} the network still tells rows apart, its error is about {ends[deadly]:.2f}")
    if any(ends[decay] > 0.35 for decay in GRID if decay < deadly):
        raise NotYet("deadly: a smaller one on the grid is enough")
