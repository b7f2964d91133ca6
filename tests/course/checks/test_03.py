"""Right and wrong answers to the exercises of notebook 03."""

import numpy as np
import pytest
from scipy import linalg

from course.exercises import verdict
from tests.course.checks import refused


def inner(a, b):
    return a @ b.T / a.shape[1]


def cholesky(C_00, c_0, norm):
    along = c_0 / norm
    return np.column_stack([along, np.linalg.cholesky(C_00 - np.outer(along, along))])


def symmetric(C_00, c_0, norm):
    return np.hstack([c_0[:, None] / norm, linalg.sqrtm(C_00 - np.outer(c_0, c_0) / norm**2)]).astype(np.float32)


def step(A, M, S, F, Q, H, eta, phi):
    return A - eta * inner(S, F), M - eta * (inner(S, Q) / phi + inner(S, H) / np.sqrt(phi))


def step_through_the_columns(A, M, S, F, Q, H, eta, phi):
    coordinate = np.sqrt(phi) * M - eta * np.einsum("ai,ki->ak", S, Q / phi**0.5 + H) / S.shape[1]
    A -= eta * np.mean(S[:, None] * F, axis=2)  # in place
    return [A, coordinate / phi**0.5]


RIGHT = {
    "03.1": [cholesky, symmetric, lambda *given: cholesky(*given).tolist()],
    "03.2": [step, step_through_the_columns],
    "03.3": [
        lambda A, M, phi: A @ A.T + phi * M @ M.T,
        lambda A, M, phi: np.float32(np.hstack([A, phi**0.5 * M]) @ np.hstack([A, phi**0.5 * M]).T).tolist(),
    ],
    "03.4": [
        lambda S, b, rng: S * (rng.random(S.shape[1]) < b) / b,
        lambda S, b, rng: rng.binomial(1, b, size=(1, S.shape[1])) * S / b,
        lambda S, b, rng: S * np.isin(np.arange(S.shape[1]), rng.permutation(S.shape[1])[: int(b * S.shape[1])]) / b,
    ],
}


@pytest.mark.parametrize("key, answer", [(key, answer) for key, answers in RIGHT.items() for answer in answers])
def test_every_right_answer_is_accepted(key, answer):
    assert verdict(key, answer) == (True, "right")


def moved(A_part=inner, M_part=None):
    def wrong(A, M, S, F, Q, H, eta, phi):
        return A - eta * A_part(S, F), M - eta * M_part(inner(S, Q), inner(S, H), phi)

    return wrong


def right_part(SQ, SH, phi):
    return SQ / phi + SH / phi**0.5


WRONG = [
    ("03.1", lambda C, c, norm: np.column_stack([c, np.linalg.cholesky(C - np.outer(c, c) / norm**2)]), "UNIT vector"),
    ("03.1", lambda C, c, norm: np.column_stack([c / norm, np.linalg.cholesky(C)]), "counted twice"),
    (
        "03.1",
        lambda C, c, norm: np.column_stack([c / norm, np.linalg.cholesky(C - np.outer(c, c) / norm**2).T]),
        "transposed",
    ),
    ("03.1", lambda C, c, norm: np.linalg.cholesky(C), "shape"),
    ("03.1", lambda C, c, norm: np.column_stack([c / norm, C]), "is not C_"),
    ("03.1", lambda C, c, norm: np.zeros((len(c), len(c) + 1)), "first column"),
    ("03.2", lambda A, M, S, F, Q, H, eta, phi: (A, M), "nothing has moved"),
    ("03.2", lambda A, M, S, F, Q, H, eta, phi: A, "two things"),
    ("03.2", lambda A, M, S, F, Q, H, eta, phi: (A - eta * inner(S, F), M), "M has not moved"),
    ("03.2", lambda A, M, S, F, Q, H, eta, phi: (A - eta * inner(S, F), M.T), "shape"),
    ("03.2", moved(lambda S, F: -inner(S, F), right_part), "uphill"),
    ("03.2", moved(lambda S, F: S @ F.T, right_part), "mean over the paths"),
    ("03.2", moved(M_part=lambda SQ, SH, phi: SQ / phi), "lacks the twins"),
    ("03.2", moved(M_part=lambda SQ, SH, phi: SH / phi**0.5), "kick"),
    ("03.2", moved(M_part=lambda SQ, SH, phi: SQ / phi**0.5 + SH), "coordinate itself"),
    ("03.2", moved(M_part=lambda SQ, SH, phi: SQ + SH), "phi is missing"),
    ("03.2", moved(M_part=lambda SQ, SH, phi: (SQ + SH) / phi), "not two"),
    ("03.2", moved(M_part=lambda SQ, SH, phi: (SQ + SH) / phi**0.5), "wrong power"),
    ("03.2", moved(M_part=lambda SQ, SH, phi: SQ / phi + SH), "whole step is divided"),
    ("03.2", moved(M_part=lambda SQ, SH, phi: -right_part(SQ, SH, phi)), "uphill"),
    ("03.2", moved(M_part=lambda SQ, SH, phi: 3 * SQ), "two terms"),
    ("03.3", lambda A, M, phi: A @ A.T, "population limit"),
    ("03.3", lambda A, M, phi: A @ A.T + M @ M.T, "coordinate along v"),
    ("03.3", lambda A, M, phi: A @ A.T + phi**0.5 * M @ M.T, "twice"),
    ("03.3", lambda A, M, phi: A @ A.T + phi**2 * M @ M.T, "not phi^2"),
    ("03.3", lambda A, M, phi: A @ A.T + (phi + 1) * M @ M.T, "does not meet itself"),
    ("03.3", lambda A, M, phi: phi * M @ M.T, "missing"),
    ("03.3", lambda A, M, phi: A @ A.T + 1.5 * M @ M.T, "depend on phi"),
    ("03.3", lambda A, M, phi: 0.0, "shape"),
    ("03.3", lambda A, M, phi: A.T @ A, "shape"),
    ("03.4", lambda S, b, rng: S, "every row"),
    ("03.4", lambda S, b, rng: b * S, "every row"),
    ("03.4", lambda S, b, rng: 0 * S, "no row"),
    ("03.4", lambda S, b, rng: S * (np.random.default_rng(0).random(S.shape[1]) < b) / b, "same rows"),
    ("03.4", lambda S, b, rng: S * (rng.random(S.shape) < b) / b, "all its neurons"),
    ("03.4", lambda S, b, rng: S * (rng.random(S.shape[1]) < b), "divided by b m"),
    ("03.4", lambda S, b, rng: S * (rng.random(S.shape[1]) < 0.5) * 2, "share"),
    ("03.4", lambda S, b, rng: S[:, rng.random(S.shape[1]) < b] / b, "shape"),
    ("03.4", lambda S, b, rng: np.nan * S, "NaN"),
]


@pytest.mark.parametrize("key, answer, says", WRONG)
def test_a_wrong_answer_is_refused_by_name(key, answer, says):
    refused(key, answer, says)
