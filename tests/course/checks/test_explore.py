"""Checks of the topic "explore"."""

import pytest

import sedyn
from course.exercises import verdict
from tests.course.checks import refused

DEEP = {"depth": 4, "aspect_ratio": 4, "noise": 0.3, "n_steps": 60}


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("explore.1", {"step_size": 0.5}),
        ("explore.1", {"noise": 0.65}),
        ("explore.1", {"aspect_ratio": 1.05}),
        ("explore.2", {"aspect_ratio": 32, "n_steps": 10}),
        ("explore.2", {"aspect_ratio": 32.0, "n_steps": 10, "noise": 0.5, "width": 2}),
        ("explore.3", DEEP | {"init_scale": 0.5}),
        ("explore.3", DEEP | {"init_scale": 0.4, "depth": 2}),
    ],
)
def test_right_answers(key, answer):
    assert verdict(key, answer)[0], verdict(key, answer)[1]
    play = sedyn.explore(["noise"])
    play.update(**answer)
    assert verdict(key, play)[0]


@pytest.mark.parametrize(
    ("key", "answer", "said"),
    [
        ("explore.1", {}, "star stands at step"),
        ("explore.1", {"noise": 1.0}, "stopping at 12 costs"),
        ("explore.1", {"step_size": 5.0}, "diverges"),
        ("explore.1", {"n_steps": 12}, "no choice"),
        ("explore.1", {"noise": 2, "step_size": 0.05}, "next to nothing"),
        ("explore.1", {"n_stepz": 12}, "n_stepz"),
        ("explore.1", 12, "the figure itself"),
        ("explore.2", {}, "must have learned"),
        ("explore.2", {"noise": 0.0}, "lowered"),
        ("explore.2", {"aspect_ratio": 32}, "the gap is"),
        ("explore.2", {"step_size": 0.02}, "must have learned"),
        ("explore.3", DEEP, "four layers at step 2"),
        ("explore.3", DEEP | {"step_size": 0.03}, "slows both"),
        ("explore.3", DEEP | {"init_scale": 0.1}, "never start"),
    ],
)
def test_wrong_answers(key, answer, said):
    refused(key, answer, said)
