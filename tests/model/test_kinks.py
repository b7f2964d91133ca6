"""Kinks and wrong derivatives of functions that a user hands in."""

import numpy as np
import pytest
from scipy import special

import sedyn
from sedyn.model.kinks import jumps

SMOOTH = {
    "steep tanh": (lambda a: np.tanh(300 * a) / 300, lambda a: 1 / np.cosh(np.clip(300 * a, -300, 300)) ** 2),
    "softplus of temperature 1e-3": (
        lambda a: 1e-3 * np.logaddexp(0, 1e3 * a),
        lambda a: special.expit(1e3 * a),
    ),
    "fast sine": (lambda a: np.sin(50 * a), lambda a: 50 * np.cos(50 * a)),
    "tiny": (lambda a: 1e-12 * np.tanh(a), lambda a: 1e-12 * (1 - np.tanh(a) ** 2)),
    "cubic": (lambda a: a**3, lambda a: 3 * a**2),
    "exponential": (np.exp, np.exp),
    "Gaussian": (lambda a: np.exp(-(a**2)), lambda a: -2 * a * np.exp(-(a**2))),
    "once differentiable": (lambda a: a * np.abs(a), lambda a: 2 * np.abs(a)),
}
KINKED = {
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0) * 1.0, 0),
    "leaky relu": (lambda a: np.where(a > 0, a, 0.1 * a), lambda a: np.where(a > 0, 1, 0.1), 0),
    "absolute": (np.abs, np.sign, 0),
    "elu of 0.5": (
        lambda a: np.where(a > 0, a, 0.5 * np.expm1(np.minimum(a, 0))),
        lambda a: np.where(a > 0, 1, 0.5 * np.exp(np.minimum(a, 0))),
        0,
    ),
    "hard tanh": (lambda a: np.clip(a, -1, 1), lambda a: (np.abs(a) < 1) * 1.0, None),
    "relu6": (lambda a: np.clip(a, 0, 6), lambda a: ((a > 0) & (a < 6)) * 1.0, None),
    "shifted": (lambda a: np.maximum(a - 0.123, 0), lambda a: (a > 0.123) * 1.0, 0.123),
    "soft threshold": (
        lambda a: np.sign(a) * np.maximum(np.abs(a) - 0.5, 0),
        lambda a: (np.abs(a) > 0.5) * 1.0,
        None,
    ),
    "faint": (lambda a: np.tanh(a) + 1e-2 * np.abs(a), lambda a: 1 - np.tanh(a) ** 2 + 1e-2 * np.sign(a), 0),
    "far out": (lambda a: np.maximum(a, 40) + a, lambda a: 1.0 + (a > 40), 40),
    "tiny": (lambda a: 1e-9 * np.abs(a), lambda a: 1e-9 * np.sign(a), 0),
}


@pytest.mark.parametrize("name", list(SMOOTH))
def test_smooth_functions_pass(name):
    assert sedyn.Network((2, 1), (SMOOTH[name], "identity"))._acts[0].kink is None


@pytest.mark.parametrize("name", list(KINKED))
def test_kinks_are_found_where_they_are(name):
    value, derivative, at = KINKED[name]
    kink = sedyn.Network((2, 1), ((value, derivative), "identity"))._acts[0].kink
    assert kink is not None
    assert at is None or abs(kink - at) < 1e-9


def test_registered_names():
    from sedyn.model import ACTIVATIONS, LOSSES

    assert {name for name, act in ACTIVATIONS.items() if act.kink is not None} == {"relu"}
    assert {name for name, loss in LOSSES.items() if loss.kink is not None} == {"absolute", "hinge"}


@pytest.mark.parametrize(
    "derivative, kinked",
    [
        (lambda f, y: np.sign(f - y), True),
        (lambda f, y: np.where(f > y, 0.9, -0.1), True),  # a quantile
        (lambda f, y: -y * (y * f < 1), True),
        (lambda f, y: np.where(np.abs(f - y) < 0.1, 0.0, np.sign(f - y)), True),
        (lambda f, y: np.clip(f - y, -1, 1), False),  # the second derivative jumps, the first does not
        (lambda f, y: np.tanh(100 * (f - y)), False),
        (lambda f, y: (f - y) ** 3, False),
    ],
)
def test_losses(derivative, kinked):
    assert (sedyn.Loss("mine", derivative).kink is not None) == kinked


@pytest.mark.parametrize(
    "value, derivative",
    [
        (np.tanh, lambda a: 5 + 0 * a),
        (np.tanh, lambda a: 1 - a**2),
        (np.sin, lambda a: -np.cos(a)),
        (lambda a: np.maximum(a, 0), lambda a: (a < 0) * 1.0),
        (lambda a: a**2, lambda a: a),
        (lambda a: 1e-9 * np.tanh(a), lambda a: 1e-9 + 0 * a),
    ],
)
def test_wrong_derivatives_are_refused(value, derivative):
    with pytest.raises(ValueError, match="is not that of its value: at .* and the value rises by"):
        sedyn.Network((2, 1), ((value, derivative), "identity"))


def write(a):
    a[a < 0] = 0
    return a


@pytest.mark.parametrize("pair", [(write, lambda a: (a > 0) * 1.0), (lambda a: np.maximum(a, 0), write)])
def test_functions_that_write_into_their_input_are_refused(pair):
    with pytest.raises(ValueError, match="writes into its input"):
        sedyn.Network((2, 1), (pair, "identity"))


def test_a_jump_in_the_value_is_no_business_of_the_derivative():
    """A step with a surrogate slope is refused, as its slope is not its derivative; a jump of a function is found."""
    assert jumps(np.sign) is not None and jumps(np.sin) is None and jumps(np.zeros_like) is None
    with pytest.raises(ValueError, match="is not that of its value"):
        sedyn.Network((2, 1), ((np.sign, lambda a: 1 - np.tanh(a) ** 2), "identity"))
