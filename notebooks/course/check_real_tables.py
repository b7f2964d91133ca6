"""Checks of the topic "real tables"."""

import warnings
from functools import cache

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

import sedyn

from .exercises import NotYet, close, exercise, function, number, numbers


def standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


@cache
def cancer_spectrum():
    X = standardised(load_breast_cancer(return_X_y=True)[0])
    return np.linalg.eigvalsh(X.T @ X / len(X))


@exercise(
    "real_tables.1",
    "A factor between -1 and 1 does not grow. Which end is reached first when the step size is raised?",
    "Solve 1 - eta lambda = -1 for the largest eigenvalue.",
)
def largest_step(answer):
    value = number(answer)
    if value <= 0:
        raise NotYet("one number is wanted, a step size above 0")
    factors = 1 - value * cancer_spectrum()
    if abs(factors.min() + 1) < 0.01:
        return "with independent features of variance 1 it would be 2"
    if abs(factors.min()) < 0.02:
        raise NotYet("there the direction is learned in one step; it still shrinks for larger steps")
    if close(value, 2, 0.01):
        raise NotYet("that is for independent features; the largest eigenvalue here is far above 1")
    if factors.min() < -1:
        raise NotYet(f"too large: that direction is multiplied by {factors.min():.3g} in every step, and grows")
    raise NotYet(f"that direction is multiplied by {factors.min():.3g}; there are larger steps for which it shrinks")


@cache
def meaningless(seed):
    """120 digits, their labels, a random order; estimated and training share of right answers that one must find."""
    X, digit = load_digits(return_X_y=True)
    X, y = standardised(X[:, X.std(axis=0) >= 0.5]), np.where(digit % 2 == 0, 1.0, -1.0)
    rng = np.random.default_rng(seed)
    rows, order = rng.permutation(len(y))[:120], rng.permutation(120)
    X, y = X[rows], y[rows]
    found = {}
    cases = ("right", X, y[order]), ("other", X[order], y), ("both", X[order], y[order]), ("true", X, y)
    for name, A, b in cases:
        model = sedyn.NetworkClassifier(random_state=0).fit(A, b)
        found[name] = model.estimated_score_, model.score(A, b)
    return X, y, order, found


# of most such sets training stops at step 0, where the training score and the estimate are one number; of these not
SEEDS = (5, 7)


@exercise(
    "real_tables.2",
    "y[order] are the labels in another order; the rows of X stay where they are.",
    "What the network says of itself is estimated_score_; its score on the rows that it was trained on is another.",
)
def no_meaning(answer):
    fit, values, found = function(answer), [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in SEEDS:
            X, y, order, found_here = meaningless(seed)
            values.append(number(fit(X.copy(), y.copy(), order.copy())))
            found.append(found_here)

    def same(name, which):
        return close(values, [one[name][which] for one in found], 2e-3)

    if same("right", 0) or same("other", 0):
        return "nothing can be learned, and about half of the digits are even: " + ", ".join(f"{v:.3g}" for v in values)
    if same("right", 1) or same("other", 1):
        raise NotYet("that is the score on the TRAINING rows; it rises for meaningless labels, too: estimated_score_")
    if same("true", 0) or same("both", 0) or same("true", 1) or same("both", 1) or min(values) > 0.75:
        raise NotYet("too good for labels that mean nothing: permute y alone, not X and y together")
    if values[0] == values[1]:
        raise NotYet("the same number for two sets of rows; fit a network to the rows that are passed")
    if close(np.array(values), [1 - one["right"][0] for one in found], 2e-3):
        raise NotYet("that is the share of WRONG answers")
    raise NotYet(f"got {values[0]:.3g} and {values[1]:.3g}; use random_state=0, all rows, and the labels y[order]")


@cache
def verdicts():
    X, y = load_diabetes(return_X_y=True)
    X, y = standardised(X)[:250], y[:250]
    verdict = y + 0.3 * y.std() * np.random.default_rng(9).standard_normal(len(y))
    models = [
        (sedyn.NetworkRegressor(random_state=0).fit(A, y), A)
        for A in (X, np.column_stack([X, verdict]), verdict[:, None])
    ]
    return X, y, verdict, [m.estimated_score_ for m, _ in models], [m.score(A, y) for m, A in models]


@exercise(
    "real_tables.3",
    "Fit two networks, one to X and one to np.column_stack([X, verdict]).",
    "Each has its own estimated_score_; return the two numbers in this order.",
)
def from_tomorrow(answer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X, y, verdict, estimated, trained = verdicts()
        values = numbers(function(answer)(X.copy(), y.copy(), verdict.copy()), 2)
    if close(values, estimated[:2], 0.02):
        return f"{values[0]:.2g} and {values[1]:.2g}"
    if close(values, estimated[1::-1], 0.02):
        raise NotYet("the other way round: first without the column, then with it")
    if close(values, trained[:2], 0.01):
        raise NotYet("these are the scores on the training rows; estimated_score_ is wanted")
    if close(values, [estimated[0], estimated[2]], 0.01):
        raise NotYet("the second network sees the verdict alone; append it to the ten columns")
    if close(values[0], estimated[0], 0.02):
        raise NotYet("with the column R^2 is larger; has it been appended to X?")
    raise NotYet("the first number should be the estimated_score_ of the ten columns alone")
