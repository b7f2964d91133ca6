"""Checks of notebook 07: stopping and tuning."""

from functools import cache

import numpy as np

from .exercises import NotYet, close, exercise, function, number, numbers

STANDARD_ERROR, CORRELATION, CONFIGURATIONS = 0.12, 0.9, 12

ESTIMATED = np.array([3.0, 2.2, 1.65, 1.55, 1.25, 1.02, 1.0, 1.1, 1.2, 1.7])
BARS = np.array([0.3, 0.3, 0.7, 0.3, 0.2, 0.03, 0.3, 0.2, 0.3, 0.3])
RULES = {  # what each rule says of these
    6: "that is the step of the least estimate itself, without the standard error",
    8: "that is the LAST such step; the cautious one is the first, nearest to the start",
    5: "the bar is the least estimate plus ITS standard error, not the least sum",
    2: "each step is held against its own standard error; it is that of the least estimate that counts",
    3: "that allows two standard errors",
}


@exercise(
    "07.1",
    "Three steps: where is the least estimate, how high is the bar there, which steps are at or below it?",
    "np.argmin gives the first least entry; of a boolean array np.argmax gives the first True.",
)
def cautious(answer):
    def said(estimated, bars):
        step = function(answer)(estimated.copy(), bars.copy())
        return number(step, "the step")

    if isinstance(answer, (int, float, np.number)):
        raise NotYet("a function is wanted, which finds the step of any curve")
    step = said(ESTIMATED, BARS)
    if step != 4:
        raise NotYet(RULES.get(step, "which steps satisfy the rule, and which of them is the first?"))
    rng = np.random.default_rng(71)
    for _ in range(20):
        estimated, bars = 1 + rng.random(9), 0.3 * rng.random(9)
        least = np.argmin(estimated)
        if said(estimated, bars) != np.argmax(estimated <= estimated[least] + bars[least]):
            raise NotYet("right for one curve, not for others: the step must come from the curves that are passed")


@exercise(
    "07.2",
    "Overlaps of all pairs of rows are X @ X.T / n; those of different groups count as 0.",
    "groups[:, None] == groups[None, :] says which rows are mates. Every row is its own mate, with overlap 1.",
)
def group_left_out(answer):
    rng = np.random.default_rng(72)
    m, n, q = 12, 30, 2
    groups = rng.permutation(np.repeat(np.arange(4), 3))
    X = rng.standard_normal((4, n))[groups] + 0.7 * rng.standard_normal((m, n))
    X *= np.sqrt(n) / np.linalg.norm(X, axis=1, keepdims=True)
    u, N = rng.standard_normal((2, m, q))
    said = function(answer)(u.copy(), N.copy(), X.copy(), groups.copy())
    found = numbers(said, m, q, what="what the function returns")
    everybody = X @ X.T / n
    overlap = everybody * (groups[:, None] == groups)
    mates = overlap - np.eye(m)
    if close(found, u - overlap @ N, 1e-3, 1e-5):
        return
    mistakes = [
        (u, "that is u itself: nothing has been taken away"),
        (u - N, "this leaves out row i alone, and its mates stay in"),
        (u + overlap @ N, "the sign: what the group has done must be taken away"),
        (u - mates @ N, "row i belongs to its own group, with overlap 1"),
        (u - N - overlap @ N, "row i is taken away twice: it is a member of its group already"),
        (u - everybody @ N, "rows of other groups stay in: count the overlaps within a group alone"),
        (u - (groups[:, None] == groups) @ N, "a mate counts by its overlap with row i, not fully"),
        (u - overlap @ N / 3, "a sum over the mates is taken away, not their mean"),
        (u - overlap @ N * n, "the overlap is the inner product divided by n"),
    ]
    for wrong, message in mistakes:
        if close(found, wrong, 1e-3, 1e-5):
            raise NotYet(message)
    raise NotYet("from u_i take the sum over the mates j of i of cos_ij o_j; o has the shape (m, q) of u")


@cache
def least_of(k):
    """By how much the least of k independent standard Gaussians is below 0 on average."""
    grid = np.linspace(-9, 9, 20001)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    below = np.cumsum(density) * (grid[1] - grid[0])
    return float(np.sum(grid * k * below ** (k - 1) * density) * (grid[1] - grid[0]))


@exercise(
    "07.3",
    "What all configurations have in common shifts all estimates alike. Which part of each error is left?",
    "Draw 12 independent Gaussians many times and look at the least; how large is the part that is not shared?",
)
def winners_curse(answer):
    value = abs(number(answer))
    alone = STANDARD_ERROR * least_of(CONFIGURATIONS)
    if close(value, alone * np.sqrt(1 - CORRELATION), 0.04):
        return f"about {alone * np.sqrt(1 - CORRELATION):.2g}, half a standard error"
    if close(value, alone, 0.04):
        raise NotYet("that is for independent errors; what the configurations share moves no one ahead of the others")
    if close(value, alone * np.sqrt(CORRELATION), 0.04):
        raise NotYet("that is the part they share; it is the other part that makes a winner")
    if close(value, alone * (1 - CORRELATION), 0.04):
        raise NotYet("of the VARIANCE a share 1 - r is not in common; what is it of the standard deviation?")
    if close(value, least_of(CONFIGURATIONS) * np.sqrt(1 - CORRELATION), 0.04):
        raise NotYet(f"that is in units of the standard error, {STANDARD_ERROR}")
    if close(value, STANDARD_ERROR * np.sqrt(1 - CORRELATION), 0.04):
        raise NotYet("that is the part of one error that is not shared; the least of 12 of them lies further out")
    raise NotYet("write each error as a shared part and a part of its own, and average the least of 12")
