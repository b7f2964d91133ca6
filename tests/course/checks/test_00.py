"""Checks of notebook 00."""

import numpy as np

import sedyn
from course.check_00 import STDERR, TEN_RUNS, THEORY, noisy_prediction
from course.exercises import verdict
from tests.course.checks import refused


def wrong(key, answer, message):
    refused(key, answer, message)


def test_z_score_by_hand():
    spread = TEN_RUNS.std(ddof=1)
    z = (TEN_RUNS.mean() - THEORY) / np.sqrt(spread**2 / 10 + STDERR**2)
    packaged = sedyn.z_scores(TEN_RUNS, THEORY, STDERR)
    for answer in (z, packaged, np.float32(z), [z], np.array([[z]]), round(z, 3), f"{z:.4g}"):
        assert verdict("00.1", answer)[0], answer
    difference = TEN_RUNS.mean() - THEORY
    for answer, message in (
        (-z, "sign is reversed"),
        (difference / np.hypot(spread, STDERR), "ONE run"),
        (difference / (spread / np.sqrt(10)), "standard error too"),
        (difference / STDERR, "ten runs has"),
        (difference / (spread / np.sqrt(10) + STDERR), "not a + b"),
        (difference / np.hypot(TEN_RUNS.std() / np.sqrt(10), STDERR), "ddof=1"),
        (0.0, "standard error of that difference"),
        (TEN_RUNS, "one number"),
    ):
        wrong("00.1", answer, message)


def test_when_to_stop():
    best = int(noisy_prediction().argmin())
    for answer in (best, float(best), np.float32(best), [best], np.int64(best), np.array([[best]]), best + 1):
        assert verdict("00.2", answer)[0], answer
    for answer, message in (
        (60, "TRAINING"),
        (0, "minimum"),
        (25, "minimum"),
        (best + 0.5, "whole number"),
        (True, "whole number"),
        (-1, "between"),
        (61, "between"),
        ([best, best], "one number"),
    ):
        wrong("00.2", answer, message)
