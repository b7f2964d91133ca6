"""Checks of the topic "intervals and p-values"."""

import numpy as np
import pytest
from scipy import stats

from course.exercises import verdict


def tell(number, answer):
    return verdict(f"intervals_and_p_values.{number}", answer)


def rank(level, m):
    return int(np.ceil(level * (m + 1) - 1e-12))


def bound(y, f, level):
    k = rank(level, len(y))
    return np.sort(y - f)[k - 1] if k <= len(y) else np.inf


def bound_of_lists(y, f, level):
    e = sorted([float(a - b) for a, b in zip(y, f, strict=True)] + [float("inf")])
    return [e[rank(level, len(y)) - 1]]


def statistic(X, W, S, J):
    return X.T @ S / len(X) - W @ J.mean(axis=-1).T


def statistic_in_loops(X, W, S, J):
    m, n = X.shape
    out = np.zeros((n, 2), np.float32)
    for i in range(m):
        out += np.outer(X[i], S[i]) / m - np.array([J[:, :, i] @ w for w in W]) / m
    return out


def group(statistics, members):
    z = np.asarray(statistics)[members]
    z = z[:, z.any(axis=0)]
    return stats.chi2.sf((z**2).sum(), z.size)


def group_by_one_minus(statistics, members):
    k = len(members) * np.linalg.matrix_rank(statistics)
    return np.array([1 - stats.chi2.cdf(np.linalg.norm(statistics[members]) ** 2, k)])


def listed(p, alpha):
    below = np.flatnonzero(np.sort(p) <= alpha * np.arange(1, len(p) + 1) / len(p))
    return p <= np.sort(p)[below[-1]] if below.size else np.zeros(len(p), bool)


def listed_in_a_loop(p, alpha):
    order, hits = np.argsort(p), 0
    for k, i in enumerate(order, 1):
        hits = k if p[i] <= alpha * k / len(p) else hits
    return [int(i in order[:hits]) for i in range(len(p))]


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, bound),
        (1, bound_of_lists),
        (2, 2025),
        (2, [2.02e3]),
        (2, np.float32(2000)),
        (3, statistic),
        (3, statistic_in_loops),
        (4, group),
        (4, group_by_one_minus),
        (5, listed),
        (5, listed_in_a_loop),
    ],
)
def test_right_answers(number, answer):
    right, message = tell(number, answer)
    assert right, message


@pytest.mark.parametrize(
    ("number", "answer", "said"),
    [
        (1, lambda y, f, level: np.sort(y - f)[min(rank(level, len(y)), 19) - 1], "infinity"),
        (1, lambda y, f, level: np.quantile(y - f, level), "counted in"),
        (1, lambda y, f, level: np.sort(y - f)[rank(level, 19) % 19], "one rank too far"),
        (1, lambda y, f, level: np.sort(np.abs(y - f))[rank(level, 19) - 1], "both sides"),
        (1, lambda y, f, level: np.sort(f - y)[rank(level, 19) - 1], "sign"),
        (1, lambda y, f, level: 0.0, "mind the sign"),
        (1, lambda y, f, level: 5.0, "both sides|instead of 0.9"),
        (2, 900, "independent"),
        (2, 779, "ROOT"),
        (2, 300, "would leave"),
        (2, 0.0, "number of rows"),
        (3, lambda X, W, S, J: X.T @ S / len(X), "still in it"),
        (3, lambda X, W, S, J: X.T @ S / len(X) + W @ J.mean(axis=-1).T, "wrong sign"),
        (3, lambda X, W, S, J: X.T @ S - W @ J.sum(axis=-1).T, "a factor m"),
        (3, lambda X, W, S, J: X.T @ S - W @ J.mean(axis=-1).T, "one of the two terms"),
        (3, lambda X, W, S, J: statistic(X, W, S, J).T, "shape"),
        (3, lambda X, W, S, J: 0 * W, "mean Hessian"),
        (4, lambda s, g: stats.chi2.cdf(np.square(s[g]).sum(), 3 * len(g)), "probability of less"),
        (4, lambda s, g: stats.chi2.sf(np.square(s[g]).sum(), 3 * len(g)), "column of zeros"),
        (4, lambda s, g: stats.chi2.sf(np.square(s[g]).sum(), 3), "degrees of freedom"),
        (4, lambda s, g: stats.chi2.sf(np.square(s[g]).sum(axis=1), s.any(axis=0).sum()).min(), "least of ten"),
        (4, lambda s, g: stats.chi2.sf(np.square(s[g]).sum(axis=1), 3), "one number"),
        (4, lambda s, g: 0.0, "degrees of freedom"),
        (4, lambda s, g: 0.5, "effects gets 0.5|not uniform"),
        (5, lambda p, alpha: p <= alpha / len(p), "Bonferroni"),
        (5, lambda p, alpha: p <= alpha, "does not correct"),
        (5, lambda p, alpha: p <= alpha * stats.rankdata(p) / len(p), "above their own line"),
        (5, lambda p, alpha: np.sort(listed(p, alpha))[::-1], "in the order of p"),
        (5, lambda p, alpha: np.flatnonzero(listed(p, alpha)), "one bool for each"),
        (5, lambda p, alpha: listed(p, 0.1), "alpha is an argument"),
        (5, lambda p, alpha: np.zeros(len(p), bool), "draw the sorted"),
    ],
)
def test_wrong_answers(number, answer, said):
    right, message = tell(number, answer)
    assert not right and any(part in message for part in said.split("|")), message


def test_stopping_at_the_first_gap_is_named():
    from course.check_intervals_and_p_values import first_gap

    assert "LAST one below" in tell(5, first_gap)[1]
