"""Checks of notebook 04: deep networks."""

from functools import cache

import numpy as np

import sedyn

from .exercises import NotYet, close, exercise, function, listed, number, numbers


@exercise(
    "04.1",
    "Take the predicted mean away first; mind that features are rows, so P acts from the right, transposed.",
    "With root = np.linalg.cholesky(F), root^(-1) times a column of noise has independent standard entries.",
)
def whiten(answer):
    call = function(answer)
    rng = np.random.default_rng(60)
    size, P, kappa = 2000, np.array([[0.8, 0.3], [-0.1, 0.6]]), np.array([0.5, -0.9])
    for F in (np.array([[0.5, 0.3], [0.3, 0.4]]), np.array([[0.2, -0.1], [-0.1, 0.7]])):
        W_0, mu = rng.standard_normal((size, 2)) / np.sqrt(size), rng.standard_normal(size) / np.sqrt(size)
        noise = rng.standard_normal((size, 2)) @ np.linalg.cholesky(F).T / np.sqrt(size)
        given = W_0 @ P.T + np.outer(mu, kappa) + noise, W_0, mu, P, kappa, F
        found = call(*(part.copy() for part in given))
        if np.shape(found) != (size, 2):
            raise NotYet(f"the shape is {np.shape(found)}, it should be (n, q)")
        found = numbers(found, size, 2)
        # what of start, signal and noise is in the answer: it must be a linear map of the noise alone
        parts = np.sqrt(size) * np.column_stack([W_0, mu, noise])
        maps = np.linalg.lstsq(parts, found, rcond=None)[0]
        start, signal, B = maps[:2], maps[2], maps[3:]
        covariance, left = B.T @ F @ B, float(np.abs(found - parts @ maps).max())
        if np.trace(covariance) < 0.01:
            raise NotYet("much too small: the weights are of order n^(-1/2), multiply by sqrt(n)")
        if np.abs(signal).max() > 0.02:
            raise NotYet("the signal is still in it: subtract the outer product of mu and kappa")
        if np.abs(start).max() > 0.02:
            raise NotYet("the start is still in it: rows are features, so P acts as W_0 @ P.T, not W_0 @ P")
        if close(covariance, np.eye(2), 1e-3, 1e-3) and left < 1e-2:
            continue
        if close(covariance, np.eye(2), 0.15, 0.15):
            raise NotYet("nearly: white in the sample's own covariance; the theory gives one, F")
        if close(np.diag(covariance), 1, 0.15):
            raise NotYet(f"the variances are right, the neurons still correlate ({covariance[0, 1]:.2g})")
        raise NotYet("not white; rows are features, so the inverse factor acts from the right, transposed")


@exercise(
    "04.2",
    "A deep weight is of order 1 and an average over m rows. How far is such an average from its mean?",
    "sqrt(n) W_1 is a mean plus a Gaussian, both of order 1. So of what order are the two parts of W_1 itself?",
)
def exponents(answer):
    answer = listed(answer)
    if np.shape(answer) == (2, 2):  # one row for deep weights, one for the first layer
        answer = np.ravel(answer)
    found, truth = numbers(answer, 4, what="the answer (four exponents)"), np.array([0.5, 0, 0.5, 0.5])
    if close(found, truth, atol=1e-3):
        return "sd / size falls like n^(-1/2) for deep weights, and not at all in the first layer"
    wrong = np.abs(found - truth) > 1e-3
    if np.any(wrong & (found == -truth)):
        raise NotYet("mind the sign: n^(-a) with positive a falls")
    if list(wrong) == [False, False, True, False] and found[2] == 0:
        raise NotYet("sqrt(n) W_1 fluctuates by order 1; W_1 itself by less")
    if list(wrong) == [False, False, True, False] and found[2] == 1:
        raise NotYet("that is the size of the step due to ONE row; m of them with random signs add up to more")
    names = ["a of a deep weight", "b of a deep weight", "a of a first-layer weight", "b of a first-layer weight"]
    raise NotYet("look again at: " + ", ".join(name for name, is_wrong in zip(names, wrong, strict=True) if is_wrong))


GRID = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)


@cache
def at_the_end() -> list[tuple[float, float]]:
    """Both errors at T = 24 of the three-layer network with label noise 1, for every step size."""
    overlaps = sedyn.Overlaps(
        np.array([[1.0, 0.4, -0.2], [0.4, 0.8, 0.1], [-0.2, 0.1, 1.2]]),
        np.array([0.3, -0.2, 0.5]),
        1.2,
        (np.array([[0.9, -0.4], [0.2, 0.8], [-0.6, 0.5]]), np.array([[1.0], [-0.7]])),
    )
    network, noisy = (
        sedyn.Network((3, 2, 1), ("tanh", "tanh", "identity")),
        sedyn.SingleIndex(lambda z: np.tanh(2 * z), 1),
    )
    lines = (
        sedyn.state_evolution(
            network, sedyn.Training((eta, 0.2, 0.25), 24), noisy, overlaps, 1.5, n_paths=2**11, n_scrambles=2, rng=61
        )
        for eta in GRID
    )
    return [(float(line.train_error[-1]), float(line.generalization_error[-1])) for line in lines]


@exercise(
    "04.3",
    "One solution of the theory for each value of the grid; compare generalization_error[24].",
    "sedyn.state_evolution(network, sedyn.Training((eta, 0.2, 0.25), 24), noisy, overlaps, phi), in a loop over eta.",
)
def first_layer_step(answer):
    value = number(answer)
    near = [i for i, eta in enumerate(GRID) if abs(value - eta) < 1e-4]
    if isinstance(answer, (bool, np.bool_)) or not near:
        raise NotYet("the answer is one of the values of the grid")
    train, general = zip(*at_the_end(), strict=True)
    best = int(np.argmin(general))
    if near[0] == best:
        return
    if near[0] == int(np.argmin(train)):
        raise NotYet("that one has the smallest TRAINING error: the network fits the noise")
    if near[0] < best:
        raise NotYet("too small, the first layer has not found the signal yet")
    raise NotYet("too large, the memory costs more than the signal brings")
