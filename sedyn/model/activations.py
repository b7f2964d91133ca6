"""Activations: a scalar function with its first derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from ..common import Array, Noun, elementwise, shown, takes
from .kinks import POINTS, jumps, slope_gap


@dataclass(frozen=True, eq=False, repr=False)
class Activation(Noun):
    """A scalar function with its first derivative, which may jump.

    ``derivative`` is called as ``(a, h)`` with ``h = value(a)`` already known, so that tanh and its relatives need no
    second evaluation.

    Raises TypeError for what cannot be called, and ValueError for functions that are not elementwise, write into their
    input, or contradict each other: the derivative is compared with differences of the value at many points.
    """

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array, Array], Array]

    def __post_init__(self):
        if not isinstance(self.name, str):
            raise TypeError(f"the name of an Activation must be text; got {shown(self.name)}")
        if not (callable(self.value) and callable(self.derivative)):
            raise TypeError(
                "an Activation needs functions, value (a) and derivative (a, h); "
                f"got {shown((self.value, self.derivative))}"
            )
        takes(self.value, "the value of an activation", "a")
        takes(self.derivative, "the derivative of an activation", "a", "h")
        elementwise(self.value, "the value of an activation", POINTS)
        elementwise(self.derivative, "the derivative of an activation", POINTS, self.value(POINTS))
        gap = slope_gap(self.value, self._slope)
        if gap:
            raise ValueError(f"the derivative of the activation {self.name!r} is not that of its value: {gap}")

    def __reduce__(self):  # a registered name travels between processes, the functions behind it need not
        if ACTIVATIONS.get(self.name) is self:
            return as_activation, (self.name,)
        return Activation, (self.name, self.value, self.derivative)

    def _slope(self, a: Array) -> Array:
        return self.derivative(a, self.value(a))

    @cached_property
    def kink(self) -> float | None:
        """A point where the derivative jumps; None where there is none."""
        return jumps(self._slope)


def _gauss(a: Array) -> Array:
    return np.exp(-0.5 * a * a) / np.sqrt(2 * np.pi)


def _silu_derivative(a: Array, h: Array) -> Array:
    p = special.expit(a)
    return p + h * (1 - p)


ACTIVATIONS: dict[str, Activation] = {}  # filled below: an Activation asks for it
ACTIVATIONS |= {
    act.name: act
    for act in (
        Activation("tanh", np.tanh, lambda a, h: 1 - h * h),
        Activation("sigmoid", special.expit, lambda a, h: h * (1 - h)),
        Activation("softplus", lambda a: np.logaddexp(0, a), lambda a, h: special.expit(a)),
        Activation("gelu", lambda a: a * special.ndtr(a), lambda a, h: special.ndtr(a) + a * _gauss(a)),
        Activation("silu", lambda a: a * special.expit(a), _silu_derivative),
        Activation("erf", special.erf, lambda a, h: 2 / np.sqrt(np.pi) * np.exp(-a * a)),
        Activation("identity", lambda a: a, lambda a, h: np.ones_like(a)),
        Activation("relu", lambda a: np.maximum(a, 0), lambda a, h: (a > 0).astype(a.dtype)),
    )
}
SMOOTH_NAMES = "tanh, sigmoid, softplus, gelu, silu, erf"


def as_activation(spec) -> Activation:
    """Turn a registered name, a pair (value, derivative), or an `Activation` into an `Activation`."""
    if isinstance(spec, Activation):
        return spec
    if isinstance(spec, str):
        if spec not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {shown(spec)}; use one of {', '.join(ACTIVATIONS)}, or a pair of functions "
                "(value, derivative)"
            )
        return ACTIVATIONS[spec]
    if isinstance(spec, (tuple, list)) and len(spec) == 2 and all(callable(part) for part in spec):
        value, derivative = spec
        takes(derivative, "the derivative of an activation, given as a pair,", "a")
        return Activation(getattr(value, "__name__", "custom"), value, lambda a, h: derivative(a))
    raise TypeError(
        f"an activation must be one of {', '.join(ACTIVATIONS)}, or a pair of functions (value, derivative); "
        f"got {shown(spec)}"
    )
