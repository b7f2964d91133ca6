import numpy as np
import pytest
from scipy import stats

import sedyn
from course.exercises import verdict
from tests.course.checks import refused

PYTORCH = 0.0004, 0.00012, 0.04


@pytest.mark.parametrize("answer", [PYTORCH, np.array([PYTORCH], "f4").T, dict(zip("abc", PYTORCH, strict=True))])
def test_numbers_of_pytorch(answer):
    assert verdict("optimizers.1", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((0.02 / 2500, 0.00012, 0.04), "ROOT"),
        ((0.02, 0.00012, 0.04), "number for Delta"),
        ((0.0004, 0.006, 0.04), "one is missing"),
        ((0.0004, 0.00012, 0.01), "other way round"),
        ((0.0004, 0.00012, 0.02), "changes the step size"),
        ((0.0004, 0.5, 0.04), "threshold"),
        ((0.0, 0.0, 0.0), "look again"),
        (0.0004, "shape"),
    ],
)
def test_numbers_of_pytorch_gone_wrong(answer, message):
    refused("optimizers.1", answer, message)


def rule(start, step):
    return type("Rule", (sedyn.Optimizer,), {"start": lambda self, value: start(value), "step": step})


def signum(self, value, gradient, state, step_size, n_taken):
    mean = 0.9 * state[0] + 0.1 * gradient
    return value - step_size * np.sign(mean), (mean,)


def in_32_bits(self, value, gradient, state, step_size, n_taken):
    (mean,) = state
    mean = (0.9 * mean + np.float32(0.1) * gradient).astype("f4")
    return (value - np.where(mean > 0, step_size, -step_size)).astype("f4"), (mean,)


def scaled(self, value, gradient, state, step_size, n_taken):  # the sign does not mind a scale
    return value - step_size * np.sign(9 * state[0] + gradient), (0.9 * state[0] + 0.1 * gradient,)


def zeros(value):
    return (np.zeros_like(value),)


def in_a_list(self, value, gradient, state, step_size, n_taken):
    return list(signum(self, value, gradient, state, step_size, n_taken))


@pytest.mark.parametrize("step", [signum, in_32_bits, scaled, in_a_list])
def test_signum(step):
    kind = rule(zeros, step)
    assert verdict("optimizers.2", kind)[0] and verdict("optimizers.2", kind())[0]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda self, v, g, s, step, n: (v - step * np.sign(0.9 * s[0] + 0.1 * g), s), "forgotten"),
        (lambda self, v, g, s, step, n: (v + step * np.sign(0.9 * s[0] + 0.1 * g), (0.9 * s[0] + 0.1 * g,)), "uphill"),
        (lambda self, v, g, s, step, n: (v - step * np.sign(s[0]), (0.9 * s[0] + 0.1 * g,)), "does nothing"),
        (lambda self, v, g, s, step, n: (v - step * g, s), "length step_size"),
        (lambda self, v, g, s, step, n: (v - step * np.sign(s[0] - g), (s[0] - g,)), "uphill"),
        (lambda self, v, g, s, step, n: (v - step * np.sign(0.1 * s[0] + g), (0.1 * s[0] + g,)), "keep of the past"),
        (lambda self, v, g, s, step, n: v - step * np.sign(g), "two things"),
    ],
)
def test_signum_gone_wrong(step, message):
    refused("optimizers.2", rule(zeros, step), message)


def writing(self, value, gradient, state, step_size, n_taken):
    state[0][...] = 0.9 * state[0] + 0.1 * gradient
    return value - step_size * np.sign(state[0]), state


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (rule(np.zeros_like, signum), "tuple of arrays"),
        (rule(zeros, writing), "writes into"),
        (type("Rule", (sedyn.Optimizer,), {"step": signum}), "remembers"),
    ],
)
def test_signum_without_a_state_of_its_own(kind, message):
    refused("optimizers.2", kind, message)


def test_signum_not_begun():
    assert "not answered" in verdict("optimizers.2", type("Rule", (sedyn.Optimizer,), {}))[1]
    assert "subclass" in verdict("optimizers.2", 0.0)[1]


@pytest.mark.parametrize(
    "answer",
    [
        lambda v, s, a: 2 * stats.norm.cdf(s * a / v**0.5) - 1,
        lambda v, s, a: np.float32(stats.norm.cdf(s * a, scale=v**0.5) - stats.norm.cdf(-s * a, scale=v**0.5)),
        lambda v, s, a: [np.mean(np.abs(stats.norm.ppf((np.arange(10**5) + 0.5) / 10**5)) * v**0.5 < s * a)],
    ],
)
def test_share_of_zeros(answer):
    assert verdict("optimizers.3", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda v, s, a: stats.norm.cdf(s * a / v**0.5) - 0.5, "half of them"),
        (lambda v, s, a: stats.norm.cdf(s * a / v**0.5), "not sent to 0"),
        (lambda v, s, a: 2 * stats.norm.cdf(a / v**0.5) - 1, "step size times tau"),
        (lambda v, s, a: 2 * stats.norm.cdf(s * a / v) - 1, "standard deviation"),
        (lambda v, s, a: 2 * stats.norm.sf(s * a / v**0.5), "left"),
        (lambda v, s, a: 0.0, "which interval"),
        (lambda v, s, a: np.nan, "NaN"),
        (lambda v, s, a: None, "not answered"),
    ],
)
def test_share_of_zeros_gone_wrong(answer, message):
    refused("optimizers.3", answer, message)


@pytest.mark.parametrize("answer", [0.855, 0.85, np.float32(0.848), [0.86], 0.873, 0.883])
def test_a_flat_signal(answer):
    assert verdict("optimizers.4", answer)[0]


@pytest.mark.parametrize(
    ("answer", "message"), [(1.175, "upside down"), (1.0, "linear rule"), (0.0, "section 4"), (1.9, "section 4")]
)
def test_a_flat_signal_gone_wrong(answer, message):
    refused("optimizers.4", answer, message)
