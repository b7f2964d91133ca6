"""Checks of notebook 02."""

import numpy as np
import pytest

from course.exercises import verdict
from tests.course.checks import refused


def wrong(key, answer, message):
    refused(key, answer, message)


def test_by_parts():
    draws = np.random.default_rng(0).standard_normal(4 * 10**6)
    monte_carlo = np.mean(draws * (draws + np.sin(2 * draws) / 2))
    for answer in (1 + np.exp(-2), 1.135, np.float32(1.1353), [1.1353], np.array([[1.135]]), 1.14, monte_carlo):
        assert verdict("02.1", answer)[0], answer
    for answer, message in (
        (1.0, "not 0"),
        (1 + np.exp(-2) / 2, "not cos(2z) / 2"),
        (np.exp(-2), "E[Z^2]"),
        (2, "slope of the link at 0"),
        (0.0, "mean label"),
        (1.2, "differentiate"),
        ([1, 2], "one number"),
    ):
        wrong("02.1", answer, message)


def by_loops(rho, G, phi):
    F = np.zeros((len(rho), len(rho), *rho.shape[2:]))
    for t in range(len(rho)):
        for s in range(len(rho)):
            for a in range(t):
                for b in range(s):
                    F[t, s] += phi * rho[t, a] @ G[a, b] @ rho[s, b].T
    return F


def by_one_large_matrix(rho, G, phi):
    T, q = len(G), G.shape[-1]
    left = rho.swapaxes(1, 2).reshape((T + 1) * q, T * q)
    F = phi * left @ G.swapaxes(1, 2).reshape(T * q, T * q) @ left.T
    return F.reshape(T + 1, q, T + 1, q).swapaxes(1, 2)


def by_einsum(rho, G, phi, path="taij,abjk,sblk->tsil"):
    return phi * np.einsum(path, rho, G, rho)


@pytest.mark.parametrize("answer", [by_loops, by_one_large_matrix, by_einsum])
def test_noise_covariance(answer):
    assert verdict("02.2", answer)[0]
    assert verdict("02.2", lambda *given: answer(*given).astype(np.float32))[0]
    assert verdict("02.2", lambda *given: answer(*given).tolist())[0]


@pytest.mark.parametrize(
    "answer, message",
    [
        (lambda rho, G, phi: by_loops(rho, G, 1), "phi is missing"),
        (lambda rho, G, phi: by_loops(rho, G, 1 / phi), "does not divide"),
        (lambda rho, G, phi: by_einsum(rho, G, phi, "taij,abjk,sbkl->tsil"), "transposed"),
        (lambda rho, G, phi: by_einsum(rho, G, phi, "taij,aajk,salk->tsil"), "independently"),
        (lambda rho, G, phi: by_loops(rho, G, phi).swapaxes(0, 1), "on the left"),
        (lambda rho, G, phi: by_loops(rho, G, phi) + 1, "no noise at the start"),
        (lambda rho, G, phi: by_loops(rho, G, phi) * np.eye(len(rho))[:, :, None, None], "t = s alone"),
        (lambda rho, G, phi: by_loops(rho, G, phi)[1:, 1:], "shape"),
        (lambda rho, G, phi: np.zeros((5, 5, 2, 2)), "in this order"),
        (np.zeros((5, 5, 2, 2)), "a function is wanted"),
    ],
)
def test_mistakes_in_the_noise_covariance(answer, message):
    wrong("02.2", answer, message)


def test_enough_rows():
    for answer in (2, 2.0, np.float32(2), [2.0], "2"):
        assert verdict("02.3", answer)[0], answer
    for answer, message in (
        (1.0, "TRAINING"),
        (1.5, "still above"),
        (3, "smaller value"),
        (8, "smaller value"),
        (0.0, "one of the values"),
        (2.5, "one of the values"),
        ([1, 2], "one number"),
    ):
        wrong("02.3", answer, message)
