"""Right and wrong answers to the exercises of notebook 04."""

import numpy as np
import pytest

from course.check_04 import GRID, at_the_end
from course.exercises import verdict
from tests.course.checks import refused


def noise_of(W, W_0, mu, P, kappa):
    return np.sqrt(len(mu)) * (W - W_0 @ P.T - np.outer(mu, kappa))


def by_cholesky(W, W_0, mu, P, kappa, F):
    return np.linalg.solve(np.linalg.cholesky(F), noise_of(W, W_0, mu, P, kappa).T).T


def by_symmetric_root(W, W_0, mu, P, kappa, F):
    values, vectors = np.linalg.eigh(F)
    return (noise_of(W, W_0, mu, P, kappa) @ vectors / np.sqrt(values) @ vectors.T).astype(np.float32)


def row_by_row(W, W_0, mu, P, kappa, F):
    root = np.linalg.inv(np.linalg.cholesky(F))
    return [list(len(mu) ** 0.5 * root @ (w - P @ w_0 - kappa * z)) for w, w_0, z in zip(W, W_0, mu, strict=True)]


RIGHT = {
    "04.1": [by_cholesky, by_symmetric_root, row_by_row],
    "04.2": [
        [[0.5, 0], [0.5, 0.5]],
        {"deep": (0.5, 0), "first": (0.5, 0.5)},
        [0.5, 0, 0.5, 0.5],
        np.array([[0.5], [0], [0.5], [0.5]], np.float32),
        {"a": 0.5, "b": 0, "c": np.array([0.5])[0], "d": 1 / 2},
    ],
    "04.3": [0.02, [0.02], np.float32(0.02), "0.02"],
}


@pytest.mark.parametrize("key, answer", [(key, answer) for key, answers in RIGHT.items() for answer in answers])
def test_every_right_answer_is_accepted(key, answer):
    right, message = verdict(key, answer)
    assert right, message


def own_covariance(W, W_0, mu, P, kappa, F):
    noise = noise_of(W, W_0, mu, P, kappa)
    return np.linalg.solve(np.linalg.cholesky(np.cov(noise.T)), noise.T).T


def standardised(W, W_0, mu, P, kappa, F):
    return noise_of(W, W_0, mu, P, kappa) / np.sqrt(np.diag(F))


WRONG = [
    ("04.1", lambda W, W_0, mu, P, kappa, F: by_cholesky(W, W_0, mu, P, kappa, F) / len(mu) ** 0.5, "much too small"),
    ("04.1", lambda W, W_0, mu, P, kappa, F: by_cholesky(W, W_0, mu, P, 0 * kappa, F), "signal is still in it"),
    ("04.1", lambda W, W_0, mu, P, kappa, F: by_cholesky(W, W_0, mu, P.T, kappa, F), "start is still in it"),
    ("04.1", own_covariance, "nearly"),
    ("04.1", standardised, "still correlate"),
    (
        "04.1",
        lambda W, W_0, mu, P, kappa, F: noise_of(W, W_0, mu, P, kappa) @ np.linalg.inv(np.linalg.cholesky(F)),
        "not white",
    ),
    ("04.1", lambda W, *rest: np.random.default_rng(0).standard_normal(W.shape), "too small"),
    ("04.1", lambda W, W_0, mu, P, kappa, F: by_cholesky(W, W_0, mu, P, kappa, F).T, "shape"),
    ("04.1", lambda W, W_0, mu, P, kappa, F: 0.0, "shape"),
    ("04.1", lambda W, W_0, mu, P, kappa, F: np.nan * W, "NaN"),
    ("04.2", [-0.5, 0, -0.5, -0.5], "sign"),
    ("04.2", [0.5, 0, 0, 0.5], "by less"),
    ("04.2", [0.5, 0, 1, 0.5], "ONE row"),
    ("04.2", [0.5, 0.5, 0.5, 0.5], "b of a deep weight"),
    ("04.2", [0, 0, 0, 0], "look again"),
    ("04.2", 0.0, "shape"),
    ("04.2", [0.5, 0, 0.5], "shape"),
    ("04.2", [[0.5, 0.5], [0, 0.5]], "look again"),
    ("04.2", dict.fromkeys("abcd"), "not yet"),
    ("04.3", 0.4, "TRAINING"),
    ("04.3", 0.0, "too small"),
    ("04.3", 0.05, "too large"),
    ("04.3", 0.3, "one of the values"),
    ("04.3", False, "one of the values"),
    ("04.3", np.nan, "NaN"),
]


@pytest.mark.parametrize("key, answer, says", WRONG)
def test_a_wrong_answer_is_refused_by_name(key, answer, says):
    refused(key, answer, says)


def test_the_best_step_size_is_the_best_by_far():
    general = np.array([after for _, after in at_the_end()])
    first, second = np.sort(general)[:2]
    assert GRID[int(np.argmin(general))] == 0.02 and second / first > 1.03
