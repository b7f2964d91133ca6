"""Checks of notebook 01: the memory of two layers."""

from functools import cache

import numpy as np

import sedyn

from .exercises import NotYet, close, exercise, function, number

ETA, PHI = 0.3, 1.5


@exercise(
    "01.1",
    "Put r = t = 0 into the recursion of the memory. Which of its terms are there?",
    "A row sees its own push through |x|^2 / m, and |x|^2 is about n.",
)
def first_kick(answer):
    if np.shape(answer) == (2, 2):  # the whole block rho_(1,0)
        block = np.asarray(answer, float)
        if not close(block, block[0, 0] * np.eye(2)):
            raise NotYet("rho_(1,0) is a multiple of the identity: a kick does not mix neurons")
        answer = block[0, 0]
    value = number(answer)
    if close(value, -ETA / PHI):
        return
    if close(value, ETA / PHI):
        raise NotYet(
            "the size is right, the sign is not: gradient DESCENT moves the row's preactivation against its gradient"
        )
    if close(abs(value), ETA):
        raise NotYet("|x|^2 / m is n / m = 1 / phi, not 1")
    if close(abs(value), ETA * PHI):
        raise NotYet("phi is m / n, and the kick is divided by it: few rows per feature, strong memory")
    raise NotYet("put r = t = 0 into the recursion of the memory (the sum is empty)")


@cache
def problem():
    """R and rho of the notebook's network on one small set of paths, where they satisfy the recursion to rounding."""
    overlaps = sedyn.Overlaps(np.eye(2), np.array([0.1, -0.2]), 1.0, (np.array([[1.0], [-0.7]]),))
    kernels = sedyn.state_evolution(
        sedyn.Network((2, 1), ("tanh", "identity")),
        sedyn.Training(ETA, 8),
        sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.5),
        overlaps,
        PHI,
        n_paths=2**10,
        n_scrambles=1,
        solver="tangent",
        rng=9,
    ).kernels
    return kernels.R, kernels.rho


@exercise(
    "01.2",
    "Two loops, over t and over r <= t; start each rho[t + 1, r] from rho[t, r].",
    "The echo is the sum over s of R[t, s] @ rho[s, r], for s up to and including t; the kick is for r = t alone.",
)
def memory_recursion(answer):
    R, truth = problem()
    found = function(answer)(R.copy(), ETA, PHI)
    found = np.asarray(found, float)
    if found.shape != truth.shape:
        raise NotYet(f"rho has the shape {truth.shape}, one step more than R; got {found.shape}")
    causal = np.tri(len(truth), truth.shape[1], -1, dtype=bool)  # r < t
    wrong = [t for t in range(len(truth)) if not close(found[t], truth[t], 1e-4)]
    if not wrong:
        return
    if np.any(found[~causal] != 0):
        raise NotYet("rho_(t,r) must be 0 for r >= t: no memory of gradients that have not happened yet")
    if wrong[0] == 1:
        raise NotYet("rho_(1,0) is wrong: it is the kick alone, -eta / phi times the identity")
    if close(found[2, 0], found[1, 0]):
        raise NotYet("rho_(2,0) has no echo: the sum over s runs up to and INCLUDING t")
    if wrong[0] == 2:
        raise NotYet("rho_(2,0) is wrong: it is rho_(1,0) - eta R_(1,1) rho_(1,0)")
    if wrong[0] == 3:
        raise NotYet(
            "right up to rho_(2,r), wrong from rho_(3,0): it is R_(t,s) times rho_(s,r), in this order, not transposed,"
            " and with the memory at step s, not at step t"
        )
    raise NotYet(f"right up to t = {wrong[0] - 1}, wrong from there")


@exercise(
    "01.3",
    "For t without end, which eigenvalues keep (1 - eta lambda)^(t - 1 - r) away from 0?",
    "m rows span at most m of the n directions. In which share of all directions does X^T X / m do nothing?",
)
def never_forgotten(answer):
    value, phi = number(answer), 0.4
    if close(value, 1 - phi, 5e-3):
        return
    if close(value, phi, 5e-3):
        raise NotYet("that is the share that the others answer to, and which fades")
    if close(value, 0):
        raise NotYet("that is so for more rows than features; here the law of the eigenvalues has a mass at 0")
    if close(value, 1):
        raise NotYet("all of the kick stays for a row alone; the other rows take back what lies in their directions")
    if close(value, -(1 - phi) / phi * ETA, 5e-3) or close(value, -(1 - phi), 5e-3):
        raise NotYet("the share is asked for: memory / kick, which has no sign and no eta")
    if close(value, 100 * (1 - phi), 5e-3):
        raise NotYet("a number between 0 and 1, not per cent")
    raise NotYet("let t grow in the integral over eigenvalues: what is left is the mass of those that are 0")
