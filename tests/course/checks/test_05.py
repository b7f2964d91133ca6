"""The checks of notebook 05: right answers in many forms, and typical mistakes."""

import re

import numpy as np
import pytest

from course import exercises


def gamma(rng, shape):
    return (rng.gamma(4.0, size=shape) - 4) / 2


RIGHT = [
    ("05.1", lambda rng, shape: rng.exponential(size=shape) - 1),
    ("05.1", lambda rng, shape: (1 - rng.exponential(size=shape)).astype(np.float32)),
    ("05.1", gamma),
    ("05.1", lambda rng, shape: (rng.standard_normal(shape) ** 2 - 1) / np.sqrt(2)),
    ("05.1", lambda rng, shape: (rng.binomial(1, 0.2, shape) - 0.2) / 0.4),
    ("05.1", lambda rng, shape: [[rng.exponential() - 1 for _ in range(shape[1])] for _ in range(shape[0])]),
    ("05.2", {"half and half": True, "random signs": True, "two scales": False, "common part": False}),
    ("05.2", {"common part": "No", "half and half": "yes", "two scales": np.bool_(False), "Random signs": " TRUE "}),
    ("05.2", {"half and half": 1, "random signs": "inside", "two scales": "outside", "common part": 0}),
    ("05.3", np.hypot(0.02 * 4 / 3, 0.01 / 3)),
    ("05.3", 0.027),
    ("05.3", [[np.float32(0.0269)]]),
]


@pytest.mark.parametrize(("key", "answer"), RIGHT)
def test_right(key, answer):
    right, message = exercises.verdict(key, answer)
    assert right, message


every = {"half and half": True, "random signs": True, "two scales": True, "common part": True}
WRONG = [
    ("05.1", lambda rng, shape: None, "returns nothing"),
    ("05.1", lambda rng, shape: rng.exponential(size=shape), "the mean is"),
    ("05.1", lambda rng, shape: rng.gamma(4.0, size=shape) - 4, "the variance is"),
    ("05.1", lambda rng, shape: rng.standard_normal(shape), "symmetric"),
    ("05.1", lambda rng, shape: np.ones(shape) * (rng.exponential(size=(shape[0], 1)) - 1), "not independent"),
    ("05.1", lambda rng, shape: np.ones(shape) * (rng.exponential(size=shape[1]) - 1), "the mean is|independent"),
    (
        "05.1",
        lambda rng, shape: (rng.exponential(size=shape) - 1) * rng.choice([0.2, 1.4], (shape[0], 1)),
        "depend on each other",
    ),
    ("05.1", lambda rng, shape: np.random.default_rng(1).exponential(size=shape) - 1, "must differ"),
    ("05.1", lambda rng, shape: np.random.default_rng().exponential(size=shape) - 1, "the same rng"),
    ("05.1", lambda rng, shape: rng.exponential(size=shape[0]) - 1, "shape"),
    ("05.1", lambda rng, shape: np.zeros(shape), "must differ"),
    ("05.2", True, "dictionary"),
    ("05.2", {}, "nothing said"),
    ("05.2", {**every, "two scales": None}, "nothing said of 'two scales'"),
    ("05.2", {**every, "two scales": "perhaps"}, "True or False"),
    ("05.2", {**every, "two scales": np.nan}, "True or False"),
    ("05.2", every, "2 of 4 wrong.*covariance of u"),
    ("05.2", dict.fromkeys(every, False), "2 of 4 wrong.*one law"),
    ("05.3", 0.0, "better than the point"),
    ("05.3", 0.0269**2, "variance"),
    ("05.3", 0.0149, "line in n"),
    ("05.3", 0.03, "add as squares"),
    ("05.3", 0.00894, "a mean of both"),
    ("05.3", 0.0265, "also where a weight is negative"),
    ("05.3", 1.0, "carry the line"),
]


@pytest.mark.parametrize(("key", "answer", "expected"), WRONG)
def test_wrong(key, answer, expected):
    right, message = exercises.verdict(key, answer)
    assert not right
    assert re.search(expected, message), message
