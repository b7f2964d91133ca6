"""Checks of the topic "sweeps"."""

import numpy as np
import pytest

import sedyn
from course.exercises import verdict
from tests.course.checks import refused


def least(noise=1.0, deep="width**-0.5", pick="error.min()", returned="{'best_error': value}", rng="rng"):
    """A function that hides no values, written as in a notebook."""
    names = {"__name__": "__main__", "np": np, "sedyn": sedyn}
    exec(
        f"""
def best_error(width, rng):
    network = sedyn.Network((width, 1), ("tanh", "identity"))
    start = sedyn.Overlaps(np.eye(width), np.zeros(width), 1.0, (np.full((width, 1), {deep}),))
    problem = network, sedyn.Training(0.3, 20), sedyn.SingleIndex("tanh", {noise}), start, 2.0
    theory = sedyn.state_evolution(*problem, n_paths=2**10, rng={rng})
    error, train = theory.generalization_error, theory.train_error
    value = {pick}
    return {returned}
""",
        names,
    )
    return names["best_error"]


@pytest.mark.parametrize(
    "answer",
    [
        least(),
        least(returned="{'e': [value]}"),
        least(pick="np.float32(min(error))"),
        least(pick="round(float(np.sort(error)[0]), 4)"),
    ],
)
def test_own_sweep(answer):
    assert verdict("sweeps.1", answer)[0], verdict("sweeps.1", answer)[1]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (least(pick="error[-1]"), "the last step"),
        (least(pick="train[-1]"), "training error"),
        (least(noise=0.3), "less noise"),
        (least(deep="1.0"), "check the start"),
        (least(rng="3"), "all seeds give the same"),
        (least(returned="value"), "mapping"),
        (least(pick="error"), "one number"),
        (least(pick="np.nan"), "NaN"),
        (lambda width, rng: {}, "one number"),
        (lambda width, rng: {"best_error": 1.42}, "check the start"),
        (least()(1, 0), "a function is wanted"),
    ],
)
def test_wrong_sweeps(answer, said):
    refused("sweeps.1", answer, said)


RIGHT = {"a": 1000, "b": 1000, "c": 0, "d": 0, "e": "an error"}


@pytest.mark.parametrize(
    "answer",
    [RIGHT, {"(A)": 1000.0, "B": "1000", "c": [0], "d": np.int64(0), "e": "ValueError"}, list(RIGHT.values())],
)
def test_what_is_run(answer):
    assert verdict("sweeps.2", answer)[0], verdict("sweeps.2", answer)[1]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("a", 2000, "seeds of each point"),
        ("b", 0, "an integer and a fraction"),
        ("c", 1000, "stands"),
        ("d", "an error", "where it runs"),
        ("e", 0, "which value"),
        ("c", None, "not answered yet: (c)"),
        ("c", "few", "made of numbers"),
    ],
)
def test_wrong_counts(key, value, said):
    refused("sweeps.2", RIGHT | {key: value}, said)
    assert not verdict("sweeps.2", 1000)[0]
