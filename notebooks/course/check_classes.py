"""Checks of the topic "Ten classes"."""

from functools import cache

import numpy as np
from scipy import optimize, special

from .exercises import NotYet, close, exercise, function, number, numbers


def log_loss(f, y):
    return special.logsumexp(f, axis=1) - f[np.arange(len(y)), y]


@exercise(
    "classes.1",
    "Equation (C.3) for one row; here rows are columns, and classes stand along axis 0.",
    "Three factors: tanh'(u) entry by entry, W_2, and softmax(f) - y, with f = W_2^T tanh(u).",
)
def gradient_of_rows(answer):
    rng = np.random.default_rng(1)
    u, W_2, y = rng.standard_normal((4, 20)), rng.standard_normal((4, 3)), np.eye(3)[:, rng.integers(0, 3, 20)]
    S = function(answer)(u.copy(), y.copy(), W_2.copy())
    S = numbers(S, 4, 20, what="S")
    slope, f = 1 / np.cosh(u) ** 2, W_2.T @ np.tanh(u)
    p = np.exp(f) / np.exp(f).sum(axis=0)
    truth = slope * (W_2 @ (p - y))

    def same(wrong):
        return close(S, wrong, 1e-3, 1e-5)

    if same(truth):
        return
    for wrong, message in (
        (-truth, "wrong sign: that is the direction in which one goes, not the gradient"),
        (truth / slope, "the derivative of tanh is missing"),
        (truth / slope * (1 - u**2), "1 - h^2 needs the activation h, not the preactivation"),
        (
            slope * (W_2 @ (special.softmax(f, axis=1) - y)),
            "softmax over the rows; each row has its own",
        ),
        (slope * (W_2 @ (special.softmax(f) - y)), "softmax over all entries; each row has its own"),
        (slope * (W_2 @ (f - y)), "that is the gradient of the squared error"),
        (slope * (W_2 @ p), "the label does not enter"),
        (truth / 20, "of each row its own loss is wanted, without the mean over rows"),
    ):
        if same(wrong):
            raise NotYet(message)
    raise NotYet("three factors: tanh'(u), W_2, and the gradient in the outputs")


@cache
def indices():
    return np.random.default_rng(2).standard_normal((3, 50_000))


@exercise(
    "classes.2",
    "The best answer is the most probable class; how often is it not the one that is drawn?",
    "Stating the true probabilities costs their entropy on average; scipy.special.entr(p) is -p log p.",
)
def best_possible(answer):
    sigmas, pairs = (0.3, 1.0), []
    for sigma in sigmas:
        pair = function(answer)(indices().copy(), sigma)
        pairs.append(numbers(pair, 2, what="the error rate and the cross-entropy"))
    best = []
    for sigma in sigmas:
        p = special.softmax(indices() / sigma, axis=0)
        best.append([1 - p.max(axis=0).mean(), -np.mean(np.sum(p * np.log(p), axis=0))])
    found, truth = np.array(pairs), np.array(best)
    right = np.all(np.abs(found / truth - 1) < 0.03, axis=0)
    if right.all():
        return
    if close(found[:, ::-1], truth, 0.03):
        raise NotYet("the two are swapped: error rate first")
    if close(1 - found[:, 0], truth[:, 0], 0.03):
        raise NotYet("that is the share of RIGHT answers")
    if right[0] and close(found[:, 1], truth[:, 1] / np.log(2), 0.03):
        raise NotYet("the cross-entropy is in bits; the loss has natural logarithms")
    if right[0]:
        raise NotYet("the error rate is right; the least cross-entropy is the mean entropy of the class, given Z")
    if right[1]:
        raise NotYet("the cross-entropy is right; how often is the most probable class not the one drawn?")
    if close(found[0], found[1]):
        raise NotYet("it must depend on sigma: the probabilities are softmax(Z / sigma)")
    raise NotYet("mind the axis of the classes, and Z / sigma")


def shortfall(f):
    others = np.where(np.eye(f.shape[1], dtype=bool), -np.inf, f[:, None, :])
    return others.max(axis=2) - f


@cache
def rows_of_outputs():
    rng = np.random.default_rng(3)
    m, k = 157, 6
    y, y_new = rng.integers(0, k, m), rng.integers(0, k, 400)
    f, f_new = (1.5 * np.eye(k)[of] + rng.standard_normal((len(of), k)) for of in (y, y_new))
    return f, y, f_new, y_new


@exercise(
    "classes.3",
    "The shortfall of the own class of row i is shortfall(f_left_out)[i, y[i]]; sort the m of them.",
    "The new row has a rank among m + 1: the bound is the ceil(level (m + 1))-th smallest, counted from 1.",
)
def sets_by_hand(answer):
    f, y, f_new, y_new = rows_of_outputs()
    m, k, levels = len(y), f.shape[1], (0.6, 0.9, 0.97)
    answers = [function(answer)(f.copy(), y.copy(), f_new.copy(), level) for level in levels]
    answers = [numbers(found, *f_new.shape, what="the sets") for found in answers]
    if any(not np.isin(found, (0, 1)).all() for found in answers):
        raise NotYet("the sets must hold True and False")
    answers = [found.astype(bool) for found in answers]

    def same(rule):
        return all(np.array_equal(found, rule(level)) for found, level in zip(answers, levels, strict=True))

    def rank(scores, place):
        return np.sort(scores, axis=None)[place - 1]

    def place(level, m=m):
        return int(np.ceil(level * (m + 1) - 1e-12))

    all_e, e_new = shortfall(f), shortfall(f_new)
    e = all_e[np.arange(m), y]
    margin, margin_new = f.max(axis=1) - f[np.arange(m), y], f_new.max(axis=1, keepdims=True) - f_new
    if same(lambda level: e_new <= rank(e, place(level))):
        return
    if same(lambda level: margin_new <= rank(margin, place(level))):
        raise NotYet("short of the best OTHER class: with the class itself among them nothing is below 0, and rows tie")
    if any(same(lambda level, rule=rule: e_new <= rule(level)) for rule in (
        lambda level: np.quantile(e, level), lambda level: rank(e, int(level * m)),
        lambda level: rank(e, int(np.ceil(level * m))), lambda level: rank(e, place(level) + 1),
    )):  # fmt: skip
        raise NotYet("nearly; the new row has a rank among m + 1, and it is rounded up")
    if same(lambda level: e_new < rank(e, place(level))) or same(lambda level: e_new > rank(e, place(level))):
        raise NotYet("a class whose shortfall is below or AT the bound is in the set")
    if same(lambda level: e_new >= rank(e, place(level))):
        raise NotYet("those are the classes that are left out")
    if same(lambda level: e_new <= rank(all_e, place(level, m * k))):
        raise NotYet("of every training row only the shortfall of its own class counts")
    held = [np.mean(found[np.arange(len(y_new)), y_new]) for found in answers]
    raise NotYet("at levels 0.6, 0.9 and 0.97 your sets hold {:.2g}, {:.2g} and {:.2g} of the classes".format(*held))


@cache
def outputs_too_large_and_too_small():
    """Outputs that are too sure, and not sure enough; classes; and the best temperature."""
    found, rng = [], np.random.default_rng(4)
    for m, k, scale in ((800, 3, 2.3), (300, 10, 0.6)):
        f = 2 * rng.standard_normal((m, k))
        y = np.argmax(f + rng.gumbel(size=f.shape), axis=1)  # classes drawn with probabilities softmax(f)
        f = scale * f
        least = optimize.minimize_scalar(
            lambda x, f=f, y=y: log_loss(f / np.exp(x), y).mean(), bounds=(-3, 3), method="bounded"
        )
        found.append((f, y, np.exp(least.x)))
    return found


@exercise(
    "classes.4",
    "log_loss(f / temperature, y).mean() is what should be least.",
    "Try many temperatures between 0.1 and 10, evenly spaced in their logarithm, and take the best.",
)
def temperature(answer):
    for f, y, best in outputs_too_large_and_too_small():
        found = function(answer)(f.copy(), y.copy())
        found = number(found, what="the temperature")
        if found <= 0:
            raise NotYet("a positive number is wanted")
        kind = "outputs that are too sure" if best > 1 else "outputs that are not sure enough"
        if abs(found / best - 1) < 0.05:
            continue
        if abs(found * best - 1) < 0.05:
            raise NotYet("the inverse: outputs are divided by the temperature, not multiplied")
        if log_loss(f / found, y).mean() >= log_loss(f, y).mean():
            raise NotYet(f"with {found:.3g} the cross-entropy of {kind} is no smaller than without")
        raise NotYet(f"for {kind} better than 1, but not the best: search wider or finer")
