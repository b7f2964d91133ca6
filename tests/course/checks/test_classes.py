import numpy as np
import pytest
from scipy import special

from course.exercises import verdict
from tests.course.checks import refused


def softmax(f, axis=0):
    e = np.exp(f)
    return e / e.sum(axis=axis, keepdims=True)


def by_rows(u, y, W_2):
    return np.array(
        [(W_2 @ (softmax(W_2.T @ np.tanh(a)) - b)) / np.cosh(a) ** 2 for a, b in zip(u.T, y.T, strict=True)]
    ).T


@pytest.mark.parametrize(
    "answer",
    [
        by_rows,
        lambda u, y, W_2: ((1 - np.tanh(u) ** 2) * (W_2 @ (softmax(W_2.T @ np.tanh(u)) - y))).astype("f4"),
        lambda u, y, W_2: np.round((1 - np.tanh(u) ** 2) * (W_2 @ (softmax(W_2.T @ np.tanh(u)) - y)), 6).tolist(),
    ],
)
def test_backpropagation(answer):
    assert verdict("classes.1", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda u, y, W_2: -by_rows(u, y, W_2), "sign"),
        (lambda u, y, W_2: W_2 @ (softmax(W_2.T @ np.tanh(u)) - y), "derivative of tanh"),
        (lambda u, y, W_2: (1 - u**2) * (W_2 @ (softmax(W_2.T @ np.tanh(u)) - y)), "activation h"),
        (lambda u, y, W_2: (1 - np.tanh(u) ** 2) * (W_2 @ (softmax(W_2.T @ np.tanh(u), 1) - y)), "over the rows"),
        (lambda u, y, W_2: (1 - np.tanh(u) ** 2) * (W_2 @ (W_2.T @ np.tanh(u) - y)), "squared error"),
        (lambda u, y, W_2: (1 - np.tanh(u) ** 2) * (W_2 @ softmax(W_2.T @ np.tanh(u))), "label"),
        (lambda u, y, W_2: by_rows(u, y, W_2) / u.shape[1], "mean over rows"),
        (lambda u, y, W_2: by_rows(u, y, W_2).T, "shape"),
        (lambda u, y, W_2: 0 * u, "three factors"),
        (lambda u, y, W_2: None, "not answered"),
    ],
)
def test_backpropagation_gone_wrong(answer, message):
    refused("classes.1", answer, message)


def best(Z, sigma):
    p = softmax(Z / sigma)
    return [1 - p.max(axis=0).mean(), special.entr(p).sum(axis=0).mean()]


def best_by_drawing(Z, sigma):
    rng = np.random.default_rng(0)
    y = np.argmax(Z / sigma + rng.gumbel(size=Z.shape), axis=0)
    f = Z / sigma
    return np.mean(f.argmax(axis=0) != y), np.mean(special.logsumexp(f, axis=0) - f[y, np.arange(f.shape[1])])


@pytest.mark.parametrize("answer", [best, best_by_drawing, lambda Z, s: np.array(best(Z, s), "f4")[:, None]])
def test_the_best_that_can_be_done(answer):
    assert verdict("classes.2", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda Z, s: best(Z, s)[::-1], "swapped"),
        (lambda Z, s: (1 - best(Z, s)[0], best(Z, s)[1]), "RIGHT"),
        (lambda Z, s: (best(Z, s)[0], best(Z, s)[1] / np.log(2)), "bits"),
        (lambda Z, s: (best(Z, s)[0], 1.1), "error rate is right"),
        (lambda Z, s: (2 / 3, best(Z, s)[1]), "cross-entropy is right"),
        (lambda Z, s: best(Z, 0.5), "depend on sigma"),
        (lambda Z, s: (0.0, s), "mind the axis"),
        (lambda Z, s: best(Z, s)[0], "shape"),
        (lambda Z, s: None, "not answered"),
    ],
)
def test_the_best_gone_wrong(answer, message):
    refused("classes.2", answer, message)


def shortfall(f):
    others = np.where(np.eye(f.shape[1], dtype=bool), -np.inf, f[:, None, :])
    return others.max(axis=2) - f


def scores(f, y):
    return np.sort(shortfall(f)[np.arange(len(y)), y])


def sets(f, y, f_new, level, shift=-1):
    return shortfall(f_new) <= scores(f, y)[int(np.ceil(level * (len(y) + 1))) + shift]


def by_loops(f, y, f_new, level):
    def fall(row, own):
        return max(np.delete(row, own)) - row[own]

    e = sorted(fall(f[i], y[i]) for i in range(len(y)))[int(np.ceil(level * (len(y) + 1))) - 1]
    return [[int(fall(row, j) <= e) for j in range(f.shape[1])] for row in f_new]


@pytest.mark.parametrize("answer", [sets, by_loops, lambda *given: sets(*given).astype("f4")])
def test_sets(answer):
    assert verdict("classes.3", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda f, y, g, level: shortfall(g) <= np.quantile(scores(f, y), level), "m + 1"),
        (lambda f, y, g, level: sets(f, y, g, level, 0), "m + 1"),
        (lambda f, y, g, level: ~sets(f, y, g, level), "below or AT"),
        (lambda f, y, g, level: shortfall(g) <= np.quantile(shortfall(f), level), "of the classes"),
        (lambda f, y, g, level: g <= level, "of the classes"),
        (lambda f, y, g, level: np.ones(g.shape, bool), "of the classes"),
        (lambda f, y, g, level: shortfall(g), "True and False"),
        (lambda f, y, g, level: sets(f, y, g, level).T, "shape"),
        (lambda f, y, g, level: None, "not answered"),
    ],
)
def test_sets_gone_wrong(answer, message):
    refused("classes.3", answer, message)


def cost(f, y):
    return np.mean(special.logsumexp(f, axis=1) - f[np.arange(len(y)), y])


GRID = np.geomspace(0.1, 10, 400)


def by_grid(f, y, grid=GRID):
    return grid[np.argmin([cost(f / t, y) for t in grid])]


def by_descent(f, y):
    x = 1.0  # 1 / temperature
    for _ in range(2000):
        p = softmax(f * x, 1)
        x -= 0.05 * np.mean(np.sum(p * f, axis=1) - f[np.arange(len(y)), y])
    return [np.float32(1 / x)]


@pytest.mark.parametrize("answer", [by_grid, by_descent, lambda f, y: round(by_grid(f, y), 2)])
def test_temperature(answer):
    assert verdict("classes.4", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda f, y: 1 / by_grid(f, y), "inverse"),
        (lambda f, y: 1.0, "no smaller"),
        (lambda f, y: by_grid(f, y, np.linspace(1, 10, 91)), "not sure enough"),
        (lambda f, y: by_grid(f, y, np.array([0.5, 1, 1.5])), "search wider"),
        (lambda f, y: 0.0, "positive"),
        (lambda f, y: f.mean(axis=0), "shape"),
        (lambda f, y: None, "not answered"),
    ],
)
def test_temperature_gone_wrong(answer, message):
    refused("classes.4", answer, message)
