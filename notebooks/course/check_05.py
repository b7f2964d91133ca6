"""Checks of notebook 05: non-Gaussian features."""

import numpy as np
from scipy import stats

from .exercises import NotYet, close, exercise, function, number


@exercise(
    "05.1",
    "Draw one number for each entry from any law that is not symmetric; rng has exponential, gamma, lognormal, ..",
    "Subtract the mean of that law and divide by its standard deviation. Not those of the sample: entries of one"
    " column would then depend on each other.",
)
def skewed_features(answer):
    draw, shape = function(answer), (2000, 100)
    X, again, other = (draw(np.random.default_rng(seed), shape) for seed in (6, 6, 7))
    X, again, other = (np.asarray(part, float) for part in (X, again, other))
    if X.shape != shape or not np.isfinite(X).all():
        raise NotYet(f"it must return finite numbers of the shape asked for, {shape}; got shape {X.shape}")
    if np.array_equal(X, other):
        raise NotYet("two data sets must differ: draw from rng, with no seed of your own")
    if not np.array_equal(X, again):
        raise NotYet("the same rng must give the same numbers: draw from the rng that is given, and from no other")
    m, n = shape
    mean, variance = X.mean(), X.var()
    if abs(mean) > 0.03:
        raise NotYet(f"the mean is {mean:.2g}, it should be 0: every row then points along (1, .., 1)")
    if abs(variance - 1) > 0.1:
        raise NotYet(f"the variance is {variance:.2g}, it should be 1")
    square = X**2
    excess = square.var() / n  # of the mean square of a row, when entries are independent
    if not (0.5 < np.mean(X.mean(axis=1) ** 2) * n < 1.5 and 0.3 < np.mean(X.mean(axis=0) ** 2) * m < 2):
        raise NotYet("the entries of a row or of a column are not independent: draw one number for each entry")
    neighbours = max(abs(np.mean(part[:, 1:] * part[:, :-1])) for part in (X, X.T))
    if not 0.4 * excess < square.mean(axis=1).var() < 2.5 * excess or neighbours > 0.05:
        raise NotYet("the entries of a row depend on each other: draw one number for each entry")
    if abs(stats.skew(X, axis=None)) < 0.2:
        raise NotYet("this law is symmetric, or nearly; an exponential one has skewness 2")
    return "now measure its gap"


INSIDE = {"half and half": True, "random signs": True, "two scales": False, "common part": False}
WHY = {
    "half and half": "which of the three facts asks for one law for all features?",
    "random signs": "what is the law of a Laplace number times a random sign, and do the entries depend on each other?",
    "two scales": "what is the covariance of u, and what does X^T S bring back in each half?",
    "common part": "what is the largest eigenvalue of the covariance of the features?",
}
WORDS = {"true": True, "yes": True, "inside": True, "false": False, "no": False, "outside": False}


def truth_value(name, given):
    """True or False from a bool, a number 0 or 1, or a word."""
    if isinstance(given, str) and given.strip().lower() in WORDS:
        return WORDS[given.strip().lower()]
    if isinstance(given, (bool, np.bool_, int, np.integer)) and given in (0, 1):
        return bool(given)
    raise NotYet(f"{name!r} needs True or False; got {str(given)[:40]}")


@exercise(
    "05.2",
    "Ask of each ensemble: mean 0 and variance 1 of every entry, covariance the identity, |x|^2 / n near 1?",
    "The law may change from feature to feature. A covariance other than the identity is another theory.",
)
def inside_or_outside(answer):
    if not isinstance(answer, dict):
        raise NotYet("a dictionary is wanted, from each of the four names to True or False")
    given = {str(name).strip().lower(): value for name, value in answer.items()}
    missing = [name for name in INSIDE if given.get(name) is None]
    if missing:
        raise NotYet(f"nothing said of {', '.join(map(repr, missing))}")
    wrong = [name for name in INSIDE if truth_value(name, given[name]) != INSIDE[name]]
    if wrong:
        raise NotYet(f"{len(wrong)} of 4 wrong. Of one of them: {WHY[wrong[0]]}")


@exercise(
    "05.3",
    "Two points fix the line: write its value at 1/n = 0 as a combination of the two gaps.",
    "The combination has weights 4/3 and -1/3. Errors of independent measurements add as squares.",
)
def price_of_extrapolation(answer):
    value = number(answer)
    at_100, at_400 = 0.01, 0.02
    truth = np.hypot(at_400 * 4 / 3, at_100 / 3)
    if close(value, truth, 6e-3):
        return
    if close(value, truth**2, 1e-2):
        raise NotYet("that is the variance; its root is wanted")
    if close(value, np.hypot(at_100 * 4 / 3, at_400 / 3), 1e-2):
        raise NotYet(
            "that is the line in n, carried on to n = 0: the law is straight in 1/n, and n = infinity is 1/n = 0"
        )
    if close(value, at_400 * 4 / 3 + at_100 / 3, 1e-2):
        raise NotYet("the two errors are independent: they add as squares")
    if close(value, np.sqrt((at_400 * 4 / 3) ** 2 - (at_100 / 3) ** 2), 1e-2):
        raise NotYet("squares of errors add, also where a weight is negative")
    if close(value, 1 / np.hypot(1 / at_100, 1 / at_400), 1e-2):
        raise NotYet("that is the error of a mean of both: the gap is not the same at both sizes")
    if value < at_400:
        raise NotYet("an extrapolation cannot be known better than the point next to its end")
    raise NotYet("carry the line through both points on to 1/n = 0, and see how each of the two gaps enters")
