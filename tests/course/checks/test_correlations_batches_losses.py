"""The checks of the topic on correlations, batches and losses: right answers in many forms, and typical mistakes."""

import re

import numpy as np
import pytest

from course import check_correlations_batches_losses as checks
from course import exercises

RIGHT = [
    ("1", 0.01),
    ("1", [[np.float32(0.01)]]),
    ("1", 0.2 * (1 - 0.95)),
    ("2", lambda f, y: np.tanh(f - y)),
    ("2", lambda f, y: np.sinh(f - y) / np.cosh(f - y)),
    ("2", lambda f, y: (1 - 2 / (np.exp(2 * (f - y)) + 1)).astype(np.float32)),
    ("2", lambda f, y: [float(np.tanh(a - b)) for a, b in zip(f, y, strict=True)]),
    ("3", (0.1, 0.2)),
    ("3", [[0.1], [0.2]]),
    ("3", np.array([0.1, 0.2], np.float32)),
    ("3", {"best": 0.1, "deadly": 0.2}),
]


@pytest.mark.parametrize(("key", "answer"), RIGHT)
def test_right(key, answer):
    right, message = exercises.verdict(f"correlations_batches_losses.{key}", answer)
    assert right, message


WRONG = [
    ("1", 0.0, "positive"),
    ("1", 4.0, "the other way round"),
    ("1", 0.19, "adds up all past steps"),
    ("1", 0.2, "20 times as fast"),
    ("1", 0.005, "0.5 of the pace"),
    ("1", -0.01, "positive"),
    ("2", lambda f, y: None, "returns nothing"),
    ("2", lambda f, y: np.tanh(y - f), "derivative in y"),
    ("2", lambda f, y: np.log(np.cosh(f - y)), "the loss itself"),
    ("2", lambda f, y: f - y, "squared loss"),
    ("2", lambda f, y: np.sign(f - y), "absolute loss"),
    ("2", lambda f, y: 1 / np.cosh(f - y) ** 2, "second derivative"),
    ("2", lambda f, y: np.mean(np.tanh(f - y)), "one number for each row"),
    ("2", lambda f, y: np.tanh(f + y), "not the derivative"),
    ("2", lambda f, y: np.full_like(f, np.nan), "NaN"),
    ("3", 0.1, "a pair"),
    ("3", (0.0, 0.2), "best: at 0 "),
    ("3", (0.1, 0.3), "a smaller one"),
    ("3", (0.1, 0.1), "still tells rows apart"),
    ("3", (0.2, 0.1), "best: at 0.2"),
    ("3", (0.15, 0.2), "decay_grid"),
]


@pytest.mark.parametrize(("key", "answer", "expected"), WRONG)
def test_wrong(key, answer, expected):
    right, message = exercises.verdict(f"correlations_batches_losses.{key}", answer)
    assert not right
    assert re.search(expected, message), message


def test_the_winner_on_the_grid_is_clear():
    ends = checks.zero_one_errors()
    first, second = sorted(ends.values())[:2]
    assert second > first + 0.006 and ends[0.1] == first
    assert ends[0.2] > 0.37 > 0.3 > ends[0.1]
