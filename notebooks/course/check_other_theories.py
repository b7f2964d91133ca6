"""Checks of the topic "Other theories"."""

from functools import cache

import numpy as np

import sedyn

from .exercises import NotYet, close, exercise, function, numbers, one_of

GRID = (2, 4, 8, 16, 32, 64, 128)
TEACHER = sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.3)


@cache
def kernel_problem():
    """Outputs, labels, tangent kernels of 40 rows, and the outputs after one step of the package."""
    rng, network = np.random.default_rng(5), sedyn.Network((4, 1), ("tanh", "identity"))
    weights = network.init(60, rng=rng)
    X, y = TEACHER.sample(40, sedyn.random_signal(60, rng=rng), rng=rng)
    h = np.tanh(weights.first.T @ X.T)
    slope = weights.deep[0] * (1 - h**2)
    kernels = (X @ X.T) * (slope.T @ slope), h.T @ h
    error = sedyn.linearized_gradient_descent(network, sedyn.Training((0.3, 0.1), 1), weights, X, y).train_error[1]
    return network.predict(weights, X), y, *kernels, error


@exercise(
    "other_theories.1",
    "Equation (O.1) is for one step size per layer already; write its sum over the two layers.",
    "The residuals are g - y, and 1/m is 1 / len(y).",
)
def kernel_step(answer):
    g, y, first, second, error = kernel_problem()
    found = function(answer)(g.copy(), y.copy(), first.copy(), second.copy(), 0.3, 0.1)
    found = numbers(found, len(g), what="the new outputs")
    parts = np.column_stack([kernel @ vector for vector in (g - y, y) for kernel in (first, second)])
    share = np.linalg.lstsq(parts, found - g, rcond=None)[0] * len(g)  # of which a step may be made
    if close(np.mean((found - y) ** 2), error, 1e-5) and np.abs(found - g - parts @ share / len(g)).max() < 1e-3:
        return
    if np.abs(share[2:]).max() > 0.01:
        raise NotYet("the tangent kernel acts on the residuals g - y, not on the outputs")
    if np.abs(share).max() > 1.0001:
        raise NotYet("the loss is a MEAN over the m rows: a factor 1/m is missing")
    if share[0] > 0.01:
        raise NotYet("that climbs; descent subtracts")
    if close(share[0], share[1], 1e-3) and abs(share[0]) > 1e-6:
        raise NotYet("each layer has its own step size")
    if close(share[:2], [-0.1, -0.3], 1e-2):
        raise NotYet("the step sizes are swapped: eta_1 belongs to NTK_1")
    raise NotYet("start from the recursion of section 2")


@exercise(
    "other_theories.2",
    "The table of section 3 has the first and the last layer; what is new is the one between.",
    "A hidden weight has a gradient of order 1/q, and a preactivation sums q of these changes.",
)
def widen_three_layers(answer):
    base = sedyn.Network((4, 4, 1), ("tanh", "tanh", "identity")), sedyn.Training(0.2, 1)
    truth, ntk = (
        np.asarray(sedyn.widen(*base, 16, scaling).training.step_size)[0] for scaling in ("maximal_update", "ntk")
    )
    found = numbers(answer, 3, what="the step sizes of the three layers")
    if close(found, truth, 1e-2):
        return
    if close(found, ntk, 1e-2):
        raise NotYet("that is the NTK scaling, in which the neurons stop moving")
    if close(found, truth[::-1], 1e-2):
        raise NotYet("reversed; it is the FIRST layer that has tiny gradients (each passes an output weight)")
    if close(found * 0.2, truth, 1e-2):
        raise NotYet("these are the factors; the step sizes are 0.2 times that")
    if close(found[[0, 2]], truth[[0, 2]], 1e-2):
        raise NotYet("first and last are right; in the hidden layer the gradient is 1/q and q terms are summed")
    raise NotYet("the table of section 3 has the first and the last layer")


@cache
def limits():
    """Population limit over state evolution, minus 1: training and generalization error for each m/n of the grid."""
    network = sedyn.Network((4, 1), ("tanh", "identity"))
    start = sedyn.Overlaps.of(network.init(400, rng=4), sedyn.random_signal(400, rng=0))
    problem = network, sedyn.Training(0.25, 32), TEACHER, start
    solved = [sedyn.state_evolution(*problem, p, n_paths=2**11, n_scrambles=1, rng=16) for p in (*GRID, np.inf)]
    errors = np.array([[each.train_error[-1], each.generalization_error[-1]] for each in solved])
    return np.abs(errors[-1] / errors[:-1] - 1)


@exercise(
    "other_theories.3",
    "Solve the state evolution for each m/n; curves['population limit'] has the other side of the comparison.",
    "Compare at the last step, and the generalization error: column 1 of both_errors.",
)
def when_reuse_may_be_forgotten(answer):
    chosen = one_of(answer, GRID)
    first = np.argmax(limits()[:, 1] < 0.1)
    if chosen == first:
        return
    if chosen < first and limits()[chosen, 0] < 0.12:
        raise NotYet("that is where the TRAINING error is near")
    if chosen > first:
        raise NotYet("that is enough, but a smaller value is enough too")
    raise NotYet(f"there the population limit still misses by {limits()[chosen, 1]:.0%}")
