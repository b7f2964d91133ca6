"""Right and wrong answers to the exercises of notebook 06."""

import numpy as np
import pytest

from course.exercises import verdict
from tests.course.checks import refused


def rho_by_definition(eta, phi, T):
    R, rho, D = np.zeros((T, T)), np.zeros((T + 1, T)), np.eye(T)
    for t in range(T):
        for s in range(t):
            D[t, s] = sum(rho[t, r] * D[r, s] for r in range(s, t))
        R[t] = D[t]
        for r in range(t + 1):
            echo = sum(R[t, s] * rho[s, r] for s in range(r + 1, t + 1))
            rho[t + 1, r] = rho[t, r] - eta * ((r == t) / phi + echo)
    return rho


def rho_by_the_inverse(eta, phi, T):
    rho = np.zeros((T + 1, T))
    for t in range(T):
        R = np.linalg.inv(np.eye(t + 1) - rho[: t + 1, : t + 1])  # the closed form of the theory page
        rho[t + 1] = rho[t] - eta * (R[t] @ rho[: t + 1] + (np.arange(T) == t) / phi)
    return rho.tolist()


def kicks_alone(eta, phi, T):
    return -eta / phi * np.tri(T + 1, T, -1)


def identity_response(eta, phi, T):
    rho = np.zeros((T + 1, T))
    for t in range(T):
        rho[t + 1] = rho[t] * (1 - eta)
        rho[t + 1, t] -= eta / phi
    return rho


RIGHT = {
    "06.1": [
        lambda u1, S0, eta, phi: u1 + eta / phi * S0,
        lambda u1, S0, eta, phi: (u1 - np.einsum("ab,bi->ai", -eta / phi * np.eye(2), S0)).tolist(),
        lambda u1, S0, eta, phi: np.float32(u1 + S0 * eta / phi),
    ],
    "06.2": [rho_by_definition, rho_by_the_inverse, lambda *given: np.float32(rho_by_definition(*given))],
    "06.3": [5.2 / 0.27**2, 71, np.float32(71.33), [71.3], np.int64(72)],
}
WRONG = [
    ("06.1", lambda u1, S0, eta, phi: u1 - eta / phi * S0, "sign"),
    ("06.1", lambda u1, S0, eta, phi: u1 + eta * S0, "where is phi"),
    ("06.1", lambda u1, S0, eta, phi: u1 + eta * phi * S0, "divides"),
    ("06.1", lambda u1, S0, eta, phi: u1, "nothing has been taken"),
    ("06.1", lambda u1, S0, eta, phi: u1 + eta / phi, "multiple of S0"),
    ("06.1", lambda u1, S0, eta, phi: (u1 + eta / phi * S0).T, "shape"),
    ("06.1", lambda u1, S0, eta, phi: u1 + 0.2 * S0, "right multiple"),
    ("06.1", 0.2, "function"),
    ("06.2", kicks_alone, "echo"),
    ("06.2", identity_response, "identity"),
    ("06.2", lambda eta, phi, T: -rho_by_definition(eta, phi, T), "sign"),
    ("06.2", lambda eta, phi, T: rho_by_definition(eta, 1, T), "n / m"),
    ("06.2", lambda eta, phi, T: rho_by_definition(0.3, 1.5, 8), "shape"),
    ("06.2", lambda eta, phi, T: rho_by_definition(0.3, 1.5, T), "arguments"),
    ("06.2", lambda eta, phi, T: rho_by_definition(eta, phi, T)[1:], "shape"),
    ("06.2", lambda eta, phi, T: np.full((T + 1, T), np.nan), "NaN"),
    ("06.2", lambda eta, phi, T: np.ones((T + 1, T)), "must be 0"),
    ("06.2", lambda eta, phi, T: np.zeros((T + 1, T)), "first wrong row"),
    ("06.3", 5.2 / 0.27, "squared"),
    ("06.3", 5.2**2 / 0.27**2, "variance already"),
    ("06.3", 240, "naive"),
    ("06.3", 0.0, "number of rows"),
    ("06.3", 100, "is wanted"),
    ("06.3", np.nan, "NaN"),
]


@pytest.mark.parametrize("key", RIGHT)
def test_right_answers_count_in_every_form(key):
    for answer in RIGHT[key]:
        assert verdict(key, answer)[0], verdict(key, answer)


@pytest.mark.parametrize("key, answer, said", WRONG)
def test_a_mistake_is_named(key, answer, said):
    refused(key, answer, said)
