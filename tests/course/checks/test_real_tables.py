"""Checks of the topic "real tables"."""

import numpy as np
import pytest

import sedyn
from course.check_real_tables import cancer_spectrum
from course.exercises import verdict


def tell(number, answer):
    return verdict(f"real_tables.{number}", answer)


def fitted(X, y):
    return sedyn.NetworkClassifier(random_state=0).fit(X, y)


def both(X, y, verdict, pick=lambda model, X, y: model.estimated_score_):
    tables = X, np.column_stack([X, verdict])
    return [pick(sedyn.NetworkRegressor(random_state=0).fit(A, y), A, y) for A in tables]


LARGEST = 2 / cancer_spectrum()[-1]


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, LARGEST),
        (1, float(f"{LARGEST:.3g}")),
        (1, [np.float32(LARGEST)]),
        (2, lambda X, y, order: fitted(X, y[order]).estimated_score_),
        (2, lambda X, y, order: round(fitted(X.tolist(), [y[i] for i in order]).estimated_score_, 3)),
        (2, lambda X, y, order: np.array([fitted(X[order], y).estimated_score_])),
        (3, both),
        (3, lambda X, y, verdict: np.round(both(X, y, verdict), 2)[:, None]),
        (3, lambda X, y, verdict: both(X, y, 10 * verdict)),
    ],
)
def test_right_answers(number, answer):
    right, message = tell(number, answer)
    assert right, message


@pytest.mark.parametrize(
    ("number", "answer", "said"),
    [
        (1, LARGEST / 2, "in one step"),
        (1, 2, "independent"),
        (1, 1.1 * LARGEST, "grows"),
        (1, 0.9 * LARGEST, "larger steps"),
        (1, 0.0, "above 0"),
        (2, lambda X, y, order: fitted(X, y[order]).score(X, y[order]), "TRAINING"),
        (2, lambda X, y, order: fitted(X, y).estimated_score_, "permute y alone"),
        (2, lambda X, y, order: fitted(X[order], y[order]).estimated_score_, "permute y alone"),
        (2, lambda X, y, order: 1 - fitted(X, y[order]).estimated_score_, "WRONG"),
        (2, lambda X, y, order: 0.5, "the same number"),
        (2, lambda X, y, order: fitted(X, y[order]), "made of numbers"),
        (3, lambda X, y, verdict: both(X, y, verdict)[::-1], "other way round"),
        (3, lambda X, y, verdict: both(X, y, verdict, lambda model, X, y: model.score(X, y)), "training rows"),
        (3, lambda X, y, verdict: [both(X, y, verdict)[0]] * 2, "R^2 is larger"),
        (3, lambda X, y, verdict: both(X, y, verdict)[0], "shape"),
        (3, lambda X, y, verdict: [0.0, 0.0], "ten columns alone"),
    ],
)
def test_wrong_answers(number, answer, said):
    right, message = tell(number, answer)
    assert not right and said in message, message
