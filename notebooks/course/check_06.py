"""Checks of notebook 06: the error from the training rows alone."""

import numpy as np

from .exercises import NotYet, close, exercise, function, number, numbers

VARIANCE, STANDARD_ERROR = 5.2, 0.27  # of one squared residual; of the estimate


@exercise(
    "06.1",
    "Put t = 1 into the box: the sum has one term, r = 0.",
    "rho_(1,0) is the kick alone, -eta / phi times the identity. What do two minus signs make?",
)
def one_step(answer):
    rng = np.random.default_rng(61)
    found = []
    for eta, phi in ((0.3, 1.5), (0.2, 4.0)):
        u1, S0 = rng.standard_normal((2, 2, 7))
        said = function(answer)(u1.copy(), S0.copy(), eta, phi)
        moved = numbers(said, 2, 7, what="what the function returns") - u1
        share = float(np.sum(moved * S0) / np.sum(S0**2))
        if not close(moved, share * S0, 1e-3, 1e-4):
            raise NotYet("to u1 a multiple of S0 must be added, and nothing else: the sum in the box has one term")
        found.append(share * phi / eta)
    if close(found, [1, 1]):
        return
    if close(found, [-1, -1]):
        raise NotYet("the sign is wrong: this adds the memory once more, where it must be taken away")
    if close(found, [1.5, 4]):
        raise NotYet("the kick is eta |x|^2 / m, and |x|^2 is about n: where is phi = m / n?")
    if close(found, [2.25, 16]):
        raise NotYet("phi = m / n divides the kick: more rows per feature, less memory")
    if close(found, [0, 0], atol=1e-4):
        raise NotYet("that is u1 itself: nothing has been taken away")
    raise NotYet("u1 moves along S0, but not by the right multiple: put r = t = 0 into the recursion of rho")


def recursion(eta, phi, T, through_memory=True, echo=True, kick=None):
    """rho (T + 1, T) of a linear network with one neuron, or with a typical mistake."""
    rho, D = np.zeros((T + 1, T)), np.zeros((T, T))
    for t in range(T):
        if through_memory:
            D[t, : t + 1] = rho[t, :t] @ D[:t, : t + 1]
        D[t, t] += 1
        rho[t + 1] = rho[t] - eta * (D[t] @ rho[:T] if echo else 0)
        rho[t + 1, t] -= eta / phi if kick is None else kick
    return rho


@exercise(
    "06.2",
    "With J = 1 all rows have the same D, so that R = D. Two loops, over t and over the earlier step.",
    "D[t, s] is 1 for s = t, plus the sum of rho[t, r] D[r, s] over the steps r from s to t - 1.",
    "At each t: first D[t], then rho[t + 1] = rho[t] - eta (kick of step t + sum over s of D[t, s] rho[s]).",
)
def linear_memory(answer):
    eta, phi, T = 0.3, 1.5, 8
    truth = recursion(eta, phi, T)
    said = function(answer)(eta, phi, T)
    found = numbers(said, T + 1, T, what="what the function returns")
    if close(found, truth, 1e-3, 1e-6):
        eta, phi, T = 0.5, 0.7, 5
        if not close(numbers(function(answer)(eta, phi, T), T + 1, T), recursion(eta, phi, T), 1e-3, 1e-6):
            raise NotYet("right for one problem, not for others: eta, phi and T must come from the arguments")
        return
    if np.any(np.triu(found) != 0):
        raise NotYet("rho[t, r] must be 0 for r >= t: no memory of gradients that have not happened yet")
    if close(found, -truth, 1e-3, 1e-6):
        raise NotYet("the sign: a kick is -eta / phi")
    if close(found, recursion(eta, phi, T, echo=False), 1e-3, 1e-6):
        raise NotYet("these are the kicks alone; the echo, the sum over s of R[t, s] rho[s, r], is missing")
    if close(found, recursion(eta, phi, T, through_memory=False), 1e-3, 1e-6):
        raise NotYet("R is not the identity: a push at step s also reaches t through the memory (D in the text)")
    if close(found, recursion(eta, phi, T, kick=eta), 1e-3, 1e-6):
        raise NotYet("the kick is eta / phi: |x|^2 / m is n / m")
    if close(found, recursion(eta, phi, T, kick=eta * phi), 1e-3, 1e-6):
        raise NotYet("phi = m / n divides the kick")
    first = next(t for t in range(T + 1) if not close(found[t], truth[t], 1e-3, 1e-6))
    raise NotYet(f"the first wrong row is rho[{first}]; rho[1, 0] is the kick alone, rho[2, 0] has the first echo")


@exercise(
    "06.3",
    "What is the standard error of a mean of k independent numbers of variance v?",
    "sqrt(v / k) must be the standard error of the estimate. Solve for k.",
)
def worth(answer):
    k = number(answer)
    truth = VARIANCE / STANDARD_ERROR**2
    if close(k, truth, 0.02):
        return f"about {truth:.2g} rows, and the estimate holds out none"
    if close(k, VARIANCE / STANDARD_ERROR, 0.01):
        raise NotYet("the standard error must be squared")
    if close(k, VARIANCE**2 / STANDARD_ERROR**2, 0.01):
        raise NotYet("v is a variance already, not a standard deviation")
    if close(k, 240, 1e-6):
        raise NotYet("that would be so if the left-out losses were independent (the naive error bar)")
    if k <= 0:
        raise NotYet("a number of rows is wanted")
    raise NotYet(
        f"the mean of so many rows has a standard error of {np.sqrt(VARIANCE / k):.2g}; {STANDARD_ERROR} is wanted"
    )
