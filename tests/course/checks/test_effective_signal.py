import numpy as np
import pytest

from course.exercises import verdict
from tests.course.checks import refused

KAPPA = 0.3 * np.sqrt(2 / np.pi) * 0.7 * 0.605706  # E tanh'(U) = 0.605706


@pytest.mark.parametrize("answer", [-KAPPA, np.float32(-KAPPA), [round(-KAPPA, 3)], np.array([[-KAPPA]])])
def test_the_first_kappa_by_hand(answer):
    assert verdict("effective_signal.1", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (KAPPA, "the sign"),
        (KAPPA / 0.7, "neuron 1"),
        (-KAPPA / 0.605706, "slope is missing"),
        (-KAPPA / np.sqrt(2 / np.pi), "E|Z|"),
        (-KAPPA / 0.3, "step size"),
        (0.0, "four factors"),
        (-0.1, "three digits"),
        ((KAPPA / 0.7, -KAPPA), "neuron 2"),
    ],
)
def test_the_first_kappa_gone_wrong(answer, message):
    refused("effective_signal.1", answer, message)


def in_place(P, kappa, cross, norm2):
    kappa *= norm2
    kappa += np.einsum("tab,b->ta", P, cross)
    return kappa.astype("f4").tolist()


def by_loops(P, kappa, cross, norm2):
    return [[sum(P[t][a] * cross) + kappa[t, a] * norm2 for a in range(2)] for t in range(len(P))]


@pytest.mark.parametrize("answer", [in_place, by_loops, lambda P, kappa, cross, norm2: P @ cross + norm2 * kappa])
def test_overlaps_in_any_style(answer):
    assert verdict("effective_signal.2", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda P, kappa, cross, norm2: norm2 * kappa, "P_t c_0"),
        (lambda P, kappa, cross, norm2: P @ cross + kappa, "not 1 here"),
        (lambda P, kappa, cross, norm2: cross + norm2 * kappa, "start fades"),
        (lambda P, kappa, cross, norm2: P.swapaxes(1, 2) @ cross + norm2 * kappa, "transposed"),
        (lambda P, kappa, cross, norm2: (P @ cross + norm2 * kappa).T, "shape"),
        (lambda P, kappa, cross, norm2: 0 * kappa, "P_t c_0"),
        (lambda P, kappa, cross, norm2: np.nan * kappa, "term by term"),
        (lambda P, kappa, cross, norm2: None, "not answered"),
    ],
)
def test_overlaps_gone_wrong(answer, message):
    refused("effective_signal.2", answer, message)


@pytest.mark.parametrize("answer", [3, 3.0, np.int64(3), [3]])
def test_rows_for_a_clean_signal(answer):
    assert verdict("effective_signal.3", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [(4, "SHARE"), (6, "SHARE"), (2, "more than 12 %"), (8, "smaller value"), (5, "one of"), (0.0, "one of")],
)
def test_too_few_rows_or_too_many(answer, message):
    refused("effective_signal.3", answer, message)
