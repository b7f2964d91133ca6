"""Losses, which training follows, and metrics, which only measure; both act on outputs f and labels y, elementwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from ..common import Array, Noun, elementwise, shown


@dataclass(frozen=True, eq=False, repr=False)
class Loss(Noun):
    """A loss l(f, y) by its derivatives in the output f, which is all that training needs.

    ``smooth`` is False where the first derivative jumps: `second` then misses a delta function, and whatever needs the
    Hessian (`augmented_gradient_descent`, the tangent solver) refuses it.
    """

    name: str
    derivative: Callable[[Array, Array], Array]
    second: Callable[[Array, Array], Array]
    smooth: bool = True

    def __post_init__(self):
        if not (callable(self.derivative) and callable(self.second)):
            raise TypeError(f"a Loss needs two callables (f, y); got {shown((self.derivative, self.second))}")

    def __reduce__(self):  # as that of an activation
        if LOSSES.get(self.name) is self:
            return as_loss, (self.name,)
        return Loss, (self.name, self.derivative, self.second, self.smooth)


def _margin_slope(f, y):
    return special.expit(-y * f)


LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss("squared", lambda f, y: f - y, lambda f, y: np.ones_like(f)),  # (f - y)^2 / 2
        # log(1 + exp(-y f)), labels -1 and +1
        Loss(
            "logistic",
            lambda f, y: -y * _margin_slope(f, y),
            lambda f, y: y * y * special.expit(y * f) * _margin_slope(f, y),
        ),
        # |f - y| beyond 1, quadratic below
        Loss("huber", lambda f, y: np.clip(f - y, -1, 1), lambda f, y: (np.abs(f - y) < 1).astype(f.dtype)),
        # sqrt(1 + (f - y)^2) - 1
        Loss("pseudo_huber", lambda f, y: (f - y) / np.hypot(1, f - y), lambda f, y: np.hypot(1, f - y) ** -3),
        Loss("absolute", lambda f, y: np.sign(f - y), lambda f, y: np.zeros_like(f), smooth=False),
    )
}
METRICS: dict[str, Callable[[Array, Array], Array]] = {
    "squared": lambda f, y: np.square(f - y),
    "absolute": lambda f, y: np.abs(f - y),
    "zero_one": lambda f, y: (np.sign(f) != y).astype(float),
    "logistic": lambda f, y: np.logaddexp(0, -y * f),
}
BINARY = ("zero_one", "logistic")  # for labels -1 and +1 alone


def require_binary(what: str, name: str, y: Array) -> None:
    """ValueError where labels other than -1 and +1 meet a loss or metric that is made for these."""
    if name in BINARY and not np.all(np.abs(y) == 1):
        raise ValueError(f"{what} needs labels -1 and +1; got other values in y")


def central_difference(function: Callable) -> Callable:
    """The derivative of a smooth function in its first argument; its error is about 1e-11."""
    step = 1e-5  # step^2 f'''/6 + eps/step, 1e-11 either way

    def derivative(x, *others):
        return (function(x + step, *others) - function(x - step, *others)) / (2 * step)

    return derivative


def as_loss(spec) -> Loss:
    """A registered name, a derivative, a pair (derivative, second derivative), or a `Loss`, as a `Loss`.

    With a derivative alone the second one is its central difference. Raises ValueError or TypeError for anything else.
    """
    if isinstance(spec, Loss):
        return spec
    if isinstance(spec, str):
        if spec not in LOSSES:
            raise ValueError(
                f"unknown loss {spec!r}; use one of {', '.join(LOSSES)}, or the callable (f, y) -> derivative in f"
            )
        return LOSSES[spec]
    derivative, *more = spec if isinstance(spec, (tuple, list)) and len(spec) == 2 else (spec,)
    if not all(callable(part) for part in (derivative, *more)):
        raise TypeError(
            "a loss is a registered name, a callable (f, y) -> derivative in f, or a pair with the second derivative; "
            f"got {spec!r}"
        )
    second = more[0] if more else central_difference(derivative)
    for function, name in ((derivative, "the derivative of a loss"), (second, "the second derivative of a loss")):
        elementwise(function, name, np.zeros(2), np.ones(2))
    return Loss(getattr(derivative, "__name__", "custom"), derivative, second)


class Metrics:
    """Squared error, then the metrics asked for: their names, and their means over samples.

    ValueError or TypeError is raised for an unknown name, or a callable that does not give one loss per sample.
    """

    def __init__(self, metrics: Sequence[str | Callable] | str | Callable = ()):
        chosen = tuple(metrics) if isinstance(metrics, (tuple, list)) else (metrics,)
        for metric in chosen:
            if isinstance(metric, str) and metric not in METRICS:
                raise ValueError(f"unknown metric {metric!r}; use one of {', '.join(METRICS)}, or a callable (f, y)")
            if not isinstance(metric, str) and not callable(metric):
                raise TypeError(f"a metric is a name or a callable (f, y) -> loss per sample; got {shown(metric)}")
        self.names = tuple(m if isinstance(m, str) else getattr(m, "__name__", "custom") for m in chosen)
        self.scorers = [METRICS["squared"], *(METRICS[m] if isinstance(m, str) else m for m in chosen)]

    def validate(self, y: Array) -> None:
        """ValueError where a metric does not fit the labels y."""
        for name, score in zip(self.names, self.scorers[1:], strict=True):
            require_binary(f"the metric {name!r}", name, y)
            given = np.asarray(score(np.zeros_like(y), y))
            if given.shape != y.shape or given.dtype.kind not in "fiub":
                raise ValueError(
                    f"the metric {name} must return one loss per sample, shape {y.shape}; got {shown(given)}"
                )

    def means(self, residual: Array, y: Array) -> Array:
        """Mean over samples of every metric, squared error first, for outputs f = y + residual; (1 + metrics,)."""
        others = [np.mean(score(residual + y, y), dtype=float) for score in self.scorers[1:]]
        squared = np.einsum("i,i", residual, residual, dtype=float) / len(residual)
        return np.array([squared, *others])
