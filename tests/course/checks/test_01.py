"""Checks of notebook 01."""

import numpy as np
import pytest

from course.check_01 import problem
from course.exercises import verdict
from tests.course.checks import refused


def wrong(key, answer, message):
    refused(key, answer, message)


def test_first_kick():
    for answer in (-0.2, -0.3 / 1.5, np.float32(-0.2), [-0.2], [[-0.2]], -0.2 * np.eye(2), (-0.2 * np.eye(2)).tolist()):
        assert verdict("01.1", answer)[0], answer
    for answer, message in (
        (0.2, "sign"),
        (-0.3, "not 1"),
        (-0.45, "divided"),
        (0.0, "sum is empty"),
        (-0.2 * np.ones((2, 2)), "does not mix"),
        (-0.3 * np.eye(2), "not 1"),
        ([-0.2, -0.2], "one number"),
    ):
        wrong("01.1", answer, message)


def recursion(R, eta, phi, *, kick=True, last=0, order="ts", from_now=False, sign=-1):
    T, q = len(R), R.shape[-1]
    rho = np.zeros((T + 1, T, q, q))
    for t in range(T):
        for r in range(t + 1):
            change = np.eye(q) / phi * (r == t) * kick
            for s in range(r + 1, t + 1 - last):
                memory = rho[t, r] if from_now else rho[s, r]
                change = change + (R[t, s] @ memory if order == "ts" else memory @ R[t, s])
            rho[t + 1, r] = rho[t, r] + sign * eta * change
    return rho


def by_columns(R, eta, phi):
    """The same without loops over r, as one product per step."""
    T, q = len(R), R.shape[-1]
    rho = np.zeros((T + 1, T, q, q))
    for t in range(T):
        rho[t + 1] = rho[t] - eta * np.einsum("sij,srjk->rik", R[t, : t + 1], rho[: t + 1])
        rho[t + 1, t] -= eta / phi * np.eye(q)
    return rho


@pytest.mark.parametrize("answer", [recursion, by_columns])
def test_memory_recursion(answer):
    assert verdict("01.2", answer)[0]
    assert verdict("01.2", lambda *given: answer(*given).astype(np.float32))[0]
    assert verdict("01.2", lambda *given: answer(*given).tolist())[0]


@pytest.mark.parametrize(
    "answer, message",
    [
        (lambda R, eta, phi: recursion(R, eta, phi)[:-1], "one step more"),
        (lambda R, eta, phi: recursion(R, eta, phi, kick=False), "rho_(1,0) is wrong"),
        (lambda R, eta, phi: recursion(R, eta, phi, sign=1), "rho_(1,0) is wrong"),
        (lambda R, eta, phi: recursion(R, eta, phi, last=1), "INCLUDING t"),
        (lambda R, eta, phi: recursion(R, eta, phi, order="st"), "not transposed"),
        (lambda R, eta, phi: recursion(R, eta, phi, from_now=True), "not at step t"),
        (lambda R, eta, phi: recursion(R, eta, phi) + 1, "must be 0"),
        (lambda R, eta, phi: np.zeros((9, 8, 2, 2)), "rho_(1,0) is wrong"),
        (lambda R, eta, phi: None, "not answered"),
        (0.0, "a function is wanted"),
    ],
)
def test_mistakes_in_the_recursion(answer, message):
    wrong("01.2", answer, message)


def test_the_truth_is_no_symmetric_one():
    R, rho = problem()
    assert not np.allclose(R[3, 1] @ rho[1, 0], rho[1, 0] @ R[3, 1].T)


def test_forever():
    for answer in (0.6, 1 - 0.4, np.float32(0.6), [0.6], np.array([[0.6]]), 0.601):
        assert verdict("01.3", answer)[0], answer
    for answer, message in (
        (0.4, "fades"),
        (0.0, "mass at 0"),
        (1, "take back"),
        (-0.45, "no sign"),
        (60, "per cent"),
        (0.5, "integral"),
        ([0.6, 0.6], "one number"),
    ):
        wrong("01.3", answer, message)
