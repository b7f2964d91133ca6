"""Checks of the topic "intervals and p-values"."""

from functools import cache

import numpy as np
from scipy import stats

import sedyn

from .exercises import NotYet, exercise, function, number


@exercise(
    "intervals_and_p_values.1",
    "Which of the m + 1 signed residuals, the new one among them, may be the largest ones that you leave out?",
    "Exchange arguments need no absolute values: take y - f_left_out, sort, and choose the rank as in section 2.",
)
def bound_from_above(answer):
    bound, rng, parts = function(answer), np.random.default_rng(0), []
    for sign in (1, -1):  # residuals with a long tail, downwards and upwards
        e, f = sign * (0.3 - rng.exponential(1.0, (4000, 20))), rng.standard_normal((4000, 20))
        found = [number(bound(b[:19] + a[:19], b[:19], 0.9)) for a, b in zip(e, f, strict=True)]
        parts.append(np.mean(e[:, 19] <= np.array(found)))  # is the 20th row below the bound that 19 rows give?
    down, up = parts
    if max(abs(down - 0.9), abs(up - 0.9)) < 0.018:
        try:
            beyond = float(np.ravel(bound(np.arange(19.0), np.zeros(19), 0.99))[0])
        except Exception:
            beyond = np.nan
        if np.isposinf(beyond):
            return
        raise NotYet("right at level 0.9; at level 0.99 there is no such rank among 19 rows: infinity")
    if max(down, up) < 0.885 and min(down, up) > 0.83:
        raise NotYet(
            f"nearly: it holds {down:.2g} of the labels; that is the quantile of the m rows, and the new row has to be"
            " counted in"
        )
    if min(down, up) > 0.93 and max(down, up) < 0.97:
        raise NotYet("one rank too far: Python counts from 0")
    if down > 0.97 and up > 0.8:
        raise NotYet("that bounds the distance to both sides; here only labels that are too large count")
    if up < 0.6:
        raise NotYet("mind the sign: that is a bound for labels that are smaller than predicted")
    raise NotYet(
        f"it holds {down:.2g} of the labels where residuals have a long tail downwards and {up:.2g} where upwards,"
        " instead of 0.9"
    )


def spread(m, factor=1.5):
    return factor * np.sqrt(0.9 * 0.1 / m)


@exercise(
    "intervals_and_p_values.2",
    "How does the standard deviation of a share of m independent rows depend on m?",
    "`interval_accuracy` says 1.5 times what independent residuals would have.",
)
def rows_needed(answer):
    m = number(answer)
    if m <= 0:
        raise NotYet("a number of rows is wanted")
    left = spread(m)
    if abs(left - 0.01) < 2e-4:
        return f"with 300 rows it is {spread(300):.2g}"
    if abs(left - 0.015) < 3e-4:
        raise NotYet("so many would do if the left-out residuals were independent; they share one network")
    if abs(left - np.sqrt(0.01 * spread(300))) < 3e-4:
        raise NotYet("a standard deviation falls like the ROOT of the number of rows")
    raise NotYet(f"so many rows would leave a standard deviation of {left:.2g}")


@cache
def one_step():
    """X, start, gradients and Hessians of a problem of 200 rows and 100 features, and what is to be found."""
    rng = np.random.default_rng(10)
    network = sedyn.Network((2, 1), ("tanh", "identity"))
    signal = np.r_[np.full(10, 10**-0.5), np.zeros(90)]
    X, y = sedyn.SingleIndex(lambda z: np.tanh(2 * z), noise=0.6).sample(200, signal, rng=rng)
    weights = network.init(100, rng=rng, scale=1.5)
    u = (X @ weights.first).T
    S = network.gradients(u, y, weights.small)[0].T
    S = S - S.mean(axis=0)
    J = network.hessian(u, y, weights.small)
    return X, weights.first, S, J, X.T @ S / 200, weights.first @ J.mean(axis=-1).T


@exercise(
    "intervals_and_p_values.3",
    "For t = s = 0 the response R_00 is a mean over the rows of one of the arguments.",
    "Both terms are means over the rows, and stand with features in rows: which q x q matrix has to be transposed?",
)
def freed_gradient(answer):
    X, W, S, J, kept, response = one_step()
    found = np.asarray(function(answer)(X.copy(), W.copy(), S.copy(), J.copy()), float)
    if found.shape != kept.shape:
        raise NotYet(f"the shape is {found.shape}, it should be {kept.shape}")

    def near(value):
        return np.allclose(found, value, rtol=1e-3, atol=1e-5)

    if near(kept - response):
        return
    if near(kept):
        raise NotYet("the response is still in it")
    if near(kept + response):
        raise NotYet("wrong sign: the response is added once more, not taken away")
    if near(200 * (kept - response)):
        raise NotYet("a factor m: both terms are means over the rows, not sums")
    if near(kept - 200 * response) or near(200 * kept - response):
        raise NotYet("one of the two terms is a sum, the other a mean over the rows")
    if near(kept - W @ J.mean(axis=-1)):
        raise NotYet("R_00 stands the wrong way round: features in rows ask for its transpose")
    raise NotYet("R_00 is the mean Hessian, q x q, and features stand in rows")


@exercise(
    "intervals_and_p_values.4",
    "The sum of k squares of independent standard Gaussians has a law that scipy.stats knows.",
    "How many of the columns hold anything? And is a p-value the probability of more, or of less?",
)
def group_p_value(answer):
    test, rng = function(answer), np.random.default_rng(0)
    statistics = rng.standard_normal((40, 3))
    statistics[:3] += (2.0, -1.5, 1.0)  # three of a group of ten have an effect
    signal = test(statistics.copy(), list(range(10)))
    if np.size(signal) != 1:
        raise NotYet("one number is wanted, not one for each feature")
    signal = number(signal)
    found = []
    for used in ([1, 1, 1], [1, 1, 0], [1, 0, 0]):  # three neurons, of which three, two or one can be tested
        found.append([number(test(rng.standard_normal((40, 3)) * used, list(range(5, 15)))) for _ in range(400)])
    nulls = np.array(found)
    small, fits = np.mean(nulls < 0.05), [stats.kstest(p, "uniform").pvalue > 1e-4 for p in nulls]
    if fits[0] and signal > 0.9:
        raise NotYet("a group with signal gets a large value: that is the probability of less, not of more")
    if fits[0] and signal > 0.05:
        raise NotYet(f"uniform under the null, but a group with three strong effects gets {signal:.2g}")
    if all(fits):
        return f"under the null {small:.2g} of the p-values are below 0.05"
    if fits[0]:
        raise NotYet("right where all columns are used; a column of zeros has no squares to count")
    if small > 0.5:
        raise NotYet("how many squares are in the sum? So many are the degrees of freedom")
    if small > 0.1:
        raise NotYet(f"{small:.2g} of the null p-values are below 0.05; the least of ten p-values is not a p-value")
    raise NotYet(
        f"not uniform under the null (mean {nulls.mean():.2g}); the sum of all squares has an exact law: use it"
    )


def selection(p, level):
    return stats.false_discovery_control(p) <= level


def first_gap(p, level):
    order = np.argsort(p)
    fails = np.flatnonzero(p[order] > level * np.arange(1, len(p) + 1) / len(p))
    return np.isin(np.arange(len(p)), order[: fails[0] if len(fails) else len(p)])


@exercise(
    "intervals_and_p_values.5",
    "Draw the sorted p-values and the line alpha k / n. Which is the last one on or below it?",
    "Everything that is smaller than that one is listed, also what lies above its own line.",
)
def benjamini_hochberg(answer):
    rule, rng = function(answer), np.random.default_rng(3)
    cases = [
        np.array([0.50, 0.013, 0.030, 0.045, 0.9, 0.048, 0.6, 0.049, 0.058, 0.055])
    ]  # two gaps before the last hit
    cases += [rng.permutation(np.r_[rng.uniform(size=80), 0.01 * rng.uniform(size=20)]) for _ in range(5)]
    cases += [0.5 + 0.5 * rng.uniform(size=10)]  # nothing to be listed
    answers = [np.asarray(rule(p.copy(), 0.1)) for p in cases]
    if any(value.shape != p.shape for value, p in zip(answers, cases, strict=True)):
        raise NotYet("one bool for each feature is wanted, in the order of p")
    if any(not np.isin(value, (0, 1)).all() for value in answers):
        raise NotYet("bools are wanted, one for each feature in the order of p: not numbers or places of features")

    def same(rule):
        return all(np.array_equal(value.astype(bool), rule(p, 0.1)) for value, p in zip(answers, cases, strict=True))

    if same(selection):
        other = np.asarray(rule(cases[1].copy(), 0.5))
        if np.array_equal(other.astype(bool), selection(cases[1], 0.5)):
            return
        raise NotYet("right for alpha = 0.1, wrong for 0.5: alpha is an argument")
    if same(lambda p, level: p <= level / len(p)):
        raise NotYet("that is Bonferroni's rule; it controls the chance of a single false alarm and finds less")
    if same(first_gap):
        raise NotYet("you stop at the first p-value above its line; the rule goes on to the LAST one below")
    if same(lambda p, level: p <= level):
        raise NotYet("that does not correct for the number of features")
    if same(lambda p, level: p <= level * stats.rankdata(p) / len(p)):
        raise NotYet("all of the k smallest are listed, also those above their own line")
    if same(lambda p, level: np.sort(selection(p, level))[::-1]):
        raise NotYet("right in number; give them in the order of p, not sorted")
    raise NotYet("draw the sorted p-values and the line alpha k / n")
