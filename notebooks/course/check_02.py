"""Checks of notebook 02: the law of two layers and its kernels."""

from functools import cache

import numpy as np

import sedyn

from .exercises import NotYet, close, exercise, function, number, numbers, one_of


@exercise(
    "02.1",
    "By parts, E[Z h(Z)] is the mean of a derivative. Of which?",
    "The derivative of the link is 1 + cos(2z).",
)
def linear_part_of_the_labels(answer):
    value = number(answer)
    if close(value, 1 + np.exp(-2), 5e-3):
        return
    if close(value, 1, 4e-3):
        raise NotYet("that is the linear part of the link alone; the mean of cos(2Z) is small, but not 0")
    if close(value, 1 + np.exp(-2) / 2, 4e-3):
        raise NotYet("the derivative of sin(2z) / 2 is cos(2z), not cos(2z) / 2")
    if close(value, np.exp(-2), 4e-3):
        raise NotYet("that is the sine's part alone; z itself adds E[Z^2]")
    if close(value, 2, 4e-3):
        raise NotYet("that is the slope of the link at 0; the mean of the slope over all Z is asked for")
    if close(value, 0, atol=4e-3):
        raise NotYet("that is the mean label; here it is multiplied by Z before the mean is taken")
    raise NotYet("E[Z h(Z)] = E[h'(Z)] with h the link: differentiate it, then take the mean")


@cache
def memory_and_gradients(q=2, T=4):
    """A causal memory and a covariance of gradients that are symmetric in nothing but what they must be."""
    rng = np.random.default_rng(11)
    rho = rng.standard_normal((T + 1, T, q, q)) * np.tri(T + 1, T, -1)[:, :, None, None]
    S = rng.standard_normal((T * q, 40)) * (1 + np.arange(T * q))[:, None]
    return rho, (S @ S.T / 40).reshape(T, q, T, q).swapaxes(1, 2)


@exercise(
    "02.2",
    "F[t, s] is phi times the sum over a and b of rho[t, a] @ G[a, b] @ rho[s, b].T.",
    "One np.einsum does it, with six letters: t, s, a, b and the rows and columns of the blocks.",
)
def covariance_of_the_noise(answer):
    (rho, G), phi = memory_and_gradients(), 1.7

    def covariance(path="taij,abjk,sblk->tsil", memory=rho):
        return phi * np.einsum(path, memory, G, memory)

    truth, found = covariance(), function(answer)(rho.copy(), G.copy(), phi)
    found = numbers(found, *truth.shape, what="F")
    scale = np.abs(truth).max()

    def like(other):
        return close(found / scale, other / scale, 1e-3, 1e-4)

    if like(truth):
        return
    if like(truth / phi):
        raise NotYet("the factor phi is missing: Cov(nu_t, nu_s) is phi G_(t,s)")
    if like(truth / phi**2):
        raise NotYet("phi multiplies, it does not divide: Cov(nu_t, nu_s) is phi G_(t,s)")
    if np.any(found[0] != 0) or np.any(found[:, 0] != 0):
        raise NotYet("F_(0,s) and F_(t,0) must be 0: there is no noise at the start")
    if like(covariance("taij,abjk,sbkl->tsil")):
        raise NotYet("the last factor is rho_(s,b) transposed: a covariance has one factor on each side")
    if like(np.einsum("ts,tsij->tsij", np.eye(len(truth)), truth)):
        raise NotYet("right for t = s alone; the noise of two steps is correlated, too")
    if like(covariance("taij,aajk,salk->tsil")):
        raise NotYet("a and b run independently: gradients at different steps are correlated")
    if like(truth.swapaxes(0, 1)) or like(truth.swapaxes(2, 3)):
        raise NotYet("transposed: rho_(t,a) stands on the left, rho_(s,b)^T on the right")
    raise NotYet("F_(t,s) = phi sum over a and b of rho_(t,a) G_(a,b) rho_(s,b)^T, as matrices in this order")


GRID, STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0), 24


@cache
def predicted_error(phi):
    """Generalization error of the notebook's network after 24 steps."""
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    rng = np.random.default_rng(1)
    weights = sedyn.Weights(network.init(800, rng=rng).first, (np.array([[1.0], [-0.7]]),))
    theory = sedyn.state_evolution(
        network,
        sedyn.Training(0.3, STEPS),
        sedyn.SingleIndex(lambda z: z + 0.5 * np.sin(2 * z), 0.5),
        sedyn.Overlaps.of(weights, sedyn.random_signal(800, rng=rng)),
        phi,
        n_paths=2**12,
        n_scrambles=4,
        rng=10,
    )
    return theory.generalization_error[STEPS]


@exercise(
    "02.3",
    "Call sedyn.state_evolution once for every value, and look at generalization_error[24].",
    "The errors fall with phi; take the first value that is small enough.",
)
def enough_rows(answer):
    place = one_of(answer, GRID)
    if predicted_error(GRID[place]) >= 0.7:
        if place == 0:
            raise NotYet("that is enough for the TRAINING error, which fewer rows make only smaller")
        raise NotYet("the predicted generalization error is still above 0.7 there")
    if place and predicted_error(GRID[place - 1]) < 0.7:
        raise NotYet("that is enough, but a smaller value of the list is enough, too")
