"""Checks of the topic "The effective signal"."""

from functools import cache

import numpy as np
from scipy import integrate, stats

import sedyn

from .exercises import NotYet, close, exercise, function, number, one_of

ETA, PHI, T = 0.3, 1.5, 30
W_2 = np.array([[1.0], [-0.7]])
NETWORK = sedyn.Network((2, 1), ("tanh", "identity"))
TEACHER = sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.5)
GRID = (1.5, 2, 3, 4, 6, 8, 12)


@exercise(
    "effective_signal.1",
    "Equation (E.4) has four factors: the step size, a_1, the output weight of this neuron, and the slope of tanh.",
    "a_1 of the sign is E[Z sign(Z)] = E|Z|; integrate z times the normal density from 0 to infinity, and double it.",
)
def first_kappa(answer):
    if np.size(answer) == 2:
        raise NotYet("one number is wanted, that of neuron 2")
    times = number(answer) / (ETA * np.sqrt(2 / np.pi) * W_2[1, 0] * slope_of_tanh())
    if close(times, 1, 1e-2):
        return
    for factor, message in (
        (-1, "the sign: kappa = -eta d, and d has a minus from f - Y; two minus signs, then the output weight"),
        (1 / W_2[1, 0], "that is neuron 1; the gradient of neuron 2 carries its own output weight"),
        (1 / slope_of_tanh(), "backpropagation goes through the activation, whose slope is missing"),
        (np.sqrt(np.pi / 2), "a_1 of the sign is E[Z sign(Z)] = E|Z|, not 1"),
        (1 / ETA, "the step size is missing"),
    ):
        if close(times, factor, 1e-2):
            raise NotYet(message)
    if close(times, 1, 5e-2):
        raise NotYet("near; three digits are wanted")
    raise NotYet("equation (E.4) has four factors: step size, a_1, the neuron's output weight, the slope of tanh")


@cache
def slope_of_tanh():
    return 2 * integrate.quad(lambda u: stats.norm.pdf(u) / np.cosh(u) ** 2, 0, 12)[0]


CROSS, NORM2 = np.array([0.6, -0.4]), 2.0


@cache
def overlap_problem():
    start = sedyn.Overlaps(np.array([[1.0, 0.3], [0.3, 0.8]]), CROSS, NORM2, (W_2,))
    problem = NETWORK, sedyn.Training(ETA, 6), TEACHER, start
    kernels = sedyn.state_evolution(*problem, PHI, n_paths=2**10, n_scrambles=1, rng=12).kernels
    return kernels.P, kernels.kappa, kernels.c


@exercise(
    "effective_signal.2",
    "W_1 is W_1(0) P^T + mu kappa^T + noise; take the inner product of each term with mu.",
    "The noise has no overlap with mu in the limit; <mu, mu> is norm2, and W_1(0)^T mu is cross.",
)
def overlap(answer):
    P, kappa, truth = overlap_problem()

    def found(P, kappa):
        values = function(answer)(P.copy(), kappa.copy(), CROSS.copy(), NORM2)
        return np.asarray(values, float)

    ours = found(P, kappa)
    if ours.shape != truth.shape:
        raise NotYet(f"the shape is {ours.shape}, it should be {truth.shape}, steps first")
    if close(ours, truth, atol=1e-6):
        return
    if close(found(P, 0 * kappa), 0, atol=1e-6):
        raise NotYet("the start may have an overlap too: what is kept of it, P_t c_0, is missing")
    if close(found(0 * P, kappa), kappa, atol=1e-6):
        raise NotYet("kappa multiplies mu, and <mu, mu> = |mu|^2, which is not 1 here")
    if close(found(0 * P, kappa), CROSS + NORM2 * kappa, atol=1e-6):
        raise NotYet("the start fades: P_t says what is left of its overlap at t")
    if close(found(P.swapaxes(1, 2), kappa), truth, atol=1e-6):
        raise NotYet("P is transposed: row a of P_t belongs to neuron a after training")
    raise NotYet("take the inner product of the decomposition of W_1 with mu, term by term")


@cache
def noise():
    """Noise in the preactivation of neuron 1 at the end, and its share of the variance, for each m/n of the grid."""
    n, rng = 600, np.random.default_rng(1)
    signal = sedyn.random_signal(n, rng=rng)
    first = NETWORK.init(n, rng=rng).first
    first[:, 0] += 0.5 * signal
    problem = NETWORK, sedyn.Training(ETA, T), TEACHER, sedyn.Overlaps.of(sedyn.Weights(first, (W_2,)), signal)
    solved = [sedyn.state_evolution(*problem, p, n_paths=2**11, n_scrambles=1, rng=13).kernels for p in GRID]
    return [(k.fluctuation[T, T, 0, 0], k.fluctuation[T, T, 0, 0] / k.C[T, T, 0, 0]) for k in solved]


@exercise(
    "effective_signal.3",
    "Solve the state evolution for each m/n, as section 4 does for two of them; no data are needed.",
    "The share is noise / (truth + start + noise), each part at t = 30.",
)
def rows_for_a_clean_signal(answer):
    chosen = one_of(answer, GRID)
    first = next(i for i, (_, share) in enumerate(noise()) if share < 0.12)
    if chosen == first:
        return
    if chosen in {next(i for i, (size, _) in enumerate(noise()) if size < 0.12 * near) for near in (0.95, 1.05)}:
        raise NotYet("did you compare the noise itself with 0.12? The question is its SHARE of the variance")
    raise NotYet(
        "that is enough, but a smaller value is enough too" if chosen > first else "noise makes up more than 12 % there"
    )
