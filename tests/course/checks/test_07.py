"""Right and wrong answers to the exercises of notebook 07."""

import numpy as np
import pytest

from course.exercises import verdict
from tests.course.checks import refused


def by_argmax(estimated, stderr):
    least = np.argmin(estimated)
    return np.argmax(estimated <= estimated[least] + stderr[least])


def by_a_loop(estimated, stderr):
    least = list(estimated).index(min(estimated))
    for t, value in enumerate(estimated):
        if value <= estimated[least] + stderr[least]:
            return float(t)


def by_flatnonzero(estimated, stderr):
    return np.flatnonzero(estimated <= min(estimated) + stderr[np.argmin(estimated)])[:1]


def overlaps(X, groups):
    return X @ X.T / X.shape[1] * (groups[:, None] == groups[None, :])


def left_out(u, N, X, groups):
    return u - overlaps(X, groups) @ N


def left_out_by_loops(u, N, X, groups):
    out = u.tolist()
    for i in range(len(u)):
        for j in range(len(u)):
            if groups[i] == groups[j]:
                cosine = X[i] @ X[j] / np.sqrt(X[i] @ X[i] * (X[j] @ X[j]))
                out[i] = [a - cosine * b for a, b in zip(out[i], N[j], strict=True)]
    return out


def left_out_in_place(u, N, X, groups):
    for g in np.unique(groups):
        rows = groups == g
        u[rows] -= X[rows] @ X[rows].T @ N[rows] / X.shape[1]
    return np.float32(u)


drawn = np.random.default_rng(0).standard_normal((20000, 12)).min(axis=1).mean()
RIGHT = {
    "07.1": [by_argmax, by_a_loop, by_flatnonzero],
    "07.2": [left_out, left_out_by_loops, left_out_in_place],
    "07.3": [-0.12 * np.sqrt(0.1) * drawn, 0.12 * np.sqrt(0.1) * drawn, 0.062, np.float32(0.0618), [0.061]],
}
WRONG = [
    ("07.1", lambda e, s: np.argmin(e), "without the standard error"),
    ("07.1", lambda e, s: np.flatnonzero(e <= e.min() + s[e.argmin()])[-1], "LAST"),
    ("07.1", lambda e, s: np.argmax(e <= (e + s).min()), "ITS"),
    ("07.1", lambda e, s: np.argmax(e - s <= e.min()), "its own standard error"),
    ("07.1", lambda e, s: np.argmax(e <= e.min() + 2 * s[e.argmin()]), "two standard errors"),
    ("07.1", lambda e, s: 4, "not for others"),
    ("07.1", lambda e, s: e <= e.min() + s[e.argmin()], "one number"),
    ("07.1", 4, "function is wanted"),
    ("07.2", lambda u, N, X, g: u, "nothing has been taken"),
    ("07.2", lambda u, N, X, g: u - N, "mates stay in"),
    ("07.2", lambda u, N, X, g: u + overlaps(X, g) @ N, "sign"),
    ("07.2", lambda u, N, X, g: u - overlaps(X, g) @ N / 3, "not their mean"),
    ("07.2", lambda u, N, X, g: u - N - overlaps(X, g) @ N, "twice"),
    ("07.2", lambda u, N, X, g: u - (overlaps(X, g) - np.eye(len(u))) @ N, "overlap 1"),
    ("07.2", lambda u, N, X, g: u - X @ X.T @ N / X.shape[1], "other groups"),
    ("07.2", lambda u, N, X, g: u - (g[:, None] == g) @ N, "not fully"),
    ("07.2", lambda u, N, X, g: u - overlaps(X, g) @ N * X.shape[1], "divided by n"),
    ("07.2", lambda u, N, X, g: np.zeros_like(u), "sum over the mates"),
    ("07.2", lambda u, N, X, g: left_out(u, N, X, g).T, "shape"),
    ("07.3", 0.1955, "independent"),
    ("07.3", 0.1855, "the part they share"),
    ("07.3", 0.01955, "VARIANCE"),
    ("07.3", 0.515, "units"),
    ("07.3", 0.0379, "further out"),
    ("07.3", 0.0, "shared part"),
    ("07.3", np.nan, "NaN"),
]


@pytest.mark.parametrize("key", RIGHT)
def test_right_answers_count_in_every_form(key):
    for answer in RIGHT[key]:
        assert verdict(key, answer)[0], verdict(key, answer)


@pytest.mark.parametrize("key, answer, said", WRONG)
def test_a_mistake_is_named(key, answer, said):
    refused(key, answer, said)
