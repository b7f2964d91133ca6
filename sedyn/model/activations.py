"""Activations: a scalar function with its first two derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from ..common import Array, Noun, elementwise, shown
from .losses import central_difference


@dataclass(frozen=True, eq=False, repr=False)
class Activation(Noun):
    """A scalar function with its first two derivatives.

    Each of ``derivative`` and ``second`` is called as ``(a, h)`` with ``h = value(a)`` already
    known, so that tanh and its relatives need no second evaluation.

    ``smooth`` is False where the first derivative jumps: `second` then misses a delta function,
    and whatever needs the Hessian (`augmented_gradient_descent`, the tangent solver) refuses it.
    """

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array, Array], Array]
    second: Callable[[Array, Array], Array]
    smooth: bool = True

    def __post_init__(self):
        functions = self.value, self.derivative, self.second
        if not all(map(callable, functions)):
            raise TypeError(
                f"an Activation needs callables value (a), derivative and second (a, h); got {shown(functions)}"
            )

    def __reduce__(self):  # a registered name travels between processes, the functions behind it need not
        if ACTIVATIONS.get(self.name) is self:
            return as_activation, (self.name,)
        return Activation, (self.name, self.value, self.derivative, self.second, self.smooth)


def _gauss(a: Array) -> Array:
    return np.exp(-0.5 * a * a) / np.sqrt(2 * np.pi)


def _silu_second(a: Array, h: Array) -> Array:
    p = special.expit(a)
    return p * (1 - p) * (2 + a * (1 - 2 * p))


def _silu_derivative(a: Array, h: Array) -> Array:
    p = special.expit(a)
    return p + h * (1 - p)


def _erf_derivative(a: Array, h: Array) -> Array:
    return 2 / np.sqrt(np.pi) * np.exp(-a * a)


ACTIVATIONS: dict[str, Activation] = {
    act.name: act
    for act in (
        Activation("tanh", np.tanh, lambda a, h: 1 - h * h, lambda a, h: -2 * h * (1 - h * h)),
        Activation("sigmoid", special.expit, lambda a, h: h * (1 - h), lambda a, h: h * (1 - h) * (1 - 2 * h)),
        Activation(
            "softplus",
            lambda a: np.logaddexp(0, a),
            lambda a, h: special.expit(a),
            lambda a, h: special.expit(a) * special.expit(-a),
        ),
        Activation(
            "gelu",
            lambda a: a * special.ndtr(a),
            lambda a, h: special.ndtr(a) + a * _gauss(a),
            lambda a, h: _gauss(a) * (2 - a * a),
        ),
        Activation("silu", lambda a: a * special.expit(a), _silu_derivative, _silu_second),
        Activation("erf", special.erf, _erf_derivative, lambda a, h: -2 * a * _erf_derivative(a, h)),
        Activation("identity", lambda a: a, lambda a, h: np.ones_like(a), lambda a, h: np.zeros_like(a)),
        Activation(
            "relu",
            lambda a: np.maximum(a, 0),
            lambda a, h: (a > 0).astype(a.dtype),
            lambda a, h: np.zeros_like(a),
            smooth=False,
        ),
    )
}
SMOOTH_NAMES = ", ".join(name for name, act in ACTIVATIONS.items() if act.smooth and name != "identity")


def as_activation(spec) -> Activation:
    """Turn a registered name, a pair (value, derivative), a triple with the second derivative, or an `Activation`
    into an `Activation`. With a pair the second derivative is a central difference of the first."""
    if isinstance(spec, Activation):
        return spec
    if isinstance(spec, str):
        if spec not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {spec!r}; use one of {', '.join(ACTIVATIONS)}, or a pair (value, derivative)"
            )
        return ACTIVATIONS[spec]
    if isinstance(spec, (tuple, list)) and len(spec) in (2, 3) and all(callable(part) for part in spec):
        value, derivative = spec[:2]
        second = spec[2] if len(spec) == 3 else central_difference(derivative)
        name = getattr(value, "__name__", "custom")
        for function, what in ((value, "value"), (derivative, "derivative"), (second, "second derivative")):
            elementwise(function, f"the {what} of an activation", np.zeros(2))
        return Activation(name, value, lambda a, h: derivative(a), lambda a, h: second(a))
    raise TypeError(f"an activation is a registered name or a pair of callables (value, derivative); got {spec!r}")
