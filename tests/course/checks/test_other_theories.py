import numpy as np
import pytest

from course.exercises import verdict
from tests.course.checks import refused


def in_steps(g, y, NTK_1, NTK_2, eta_1, eta_2):
    residual = (g - y)[:, None]
    new = g[:, None] - eta_1 / len(y) * NTK_1 @ residual - eta_2 / len(y) * NTK_2 @ residual
    return new.astype("f4")


@pytest.mark.parametrize(
    "answer",
    [
        in_steps,
        lambda g, y, a, b, s, t: list(g - np.mean((s * a + t * b) * (g - y), axis=1)),
        lambda g, y, a, b, s, t: g + (s * a + t * b) @ (y - g) / g.size,
    ],
)
def test_a_step_by_the_tangent_kernel(answer):
    assert verdict("other_theories.1", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda g, y, a, b, s, t: g - (s * a + t * b) @ g / len(y), "residuals"),
        (lambda g, y, a, b, s, t: g - (s * a + t * b) @ (g - y), "MEAN"),
        (lambda g, y, a, b, s, t: g + (s * a + t * b) @ (g - y) / len(y), "climbs"),
        (lambda g, y, a, b, s, t: g - s * (a + b) @ (g - y) / len(y), "its own step size"),
        (lambda g, y, a, b, s, t: g - (t * a + s * b) @ (g - y) / len(y), "swapped"),
        (lambda g, y, a, b, s, t: g - s * a @ (g - y) / len(y), "section 2"),
        (lambda g, y, a, b, s, t: g, "section 2"),
        (lambda g, y, a, b, s, t: None, "not answered"),
        (lambda g, y, a, b, s, t: g[:3], "shape"),
    ],
)
def test_a_step_gone_wrong(answer, message):
    refused("other_theories.1", answer, message)


@pytest.mark.parametrize("answer", [(3.2, 0.2, 0.0125), [[3.2], [0.2], [0.0125]], np.array([3.2, 0.2, 0.0125], "f4")])
def test_three_layers(answer):
    assert verdict("other_theories.2", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((0.2, 0.0125, 0.0125), "NTK"),
        ((0.0125, 0.2, 3.2), "reversed"),
        ((16, 1, 1 / 16), "factors"),
        ((3.2, 0.0125, 0.0125), "hidden layer"),
        ((0.2, 0.2, 0.2), "table of section 3"),
        (0.0, "shape"),
    ],
)
def test_three_layers_gone_wrong(answer, message):
    refused("other_theories.2", answer, message)


@pytest.mark.parametrize("answer", [16, 16.0, np.int32(16), [16]])
def test_when_reuse_may_be_forgotten(answer):
    assert verdict("other_theories.3", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [(128, "smaller"), (2, "misses by"), (8, "TRAINING"), (4, "misses by"), (0.0, "one of"), (10, "one of")],
)
def test_when_it_may_not(answer, message):
    refused("other_theories.3", answer, message)
