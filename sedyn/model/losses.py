"""Losses, which training follows, and metrics, which only measure; both act on outputs f and labels y, elementwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy import special

from ..common import Array, Noun, elementwise, shown, takes
from .kinks import POINTS, jumps


@dataclass(frozen=True, eq=False, repr=False)
class Loss(Noun):
    """A loss l(f, y) by its derivative in the output f, which is all that training needs; it may jump."""

    name: str
    derivative: Callable[[Array, Array], Array]

    def __post_init__(self):
        if not isinstance(self.name, str):
            raise TypeError(f"the name of a Loss must be text; got {shown(self.name)}")
        if not callable(self.derivative):
            raise TypeError(f"a Loss needs a function (f, y), its derivative in f; got {shown(self.derivative)}")
        takes(self.derivative, "the derivative of a loss", "f", "y")
        elementwise(self.derivative, "the derivative of a loss", POINTS, np.sign(POINTS))

    def __reduce__(self):  # as that of an activation
        if LOSSES.get(self.name) is self:
            return as_loss, (self.name,)
        return Loss, (self.name, self.derivative)

    @cached_property
    def kink(self) -> float | None:
        """An output where the derivative jumps, for some label; None where there is none."""
        for y in (-1.0, 1.0, 0.0, 0.37):
            at = jumps(partial(self._slope, y))
            if at is not None:
                return at
        return None

    def _slope(self, y: float, f: Array) -> Array:
        return self.derivative(f, np.full_like(f, y))


LOSSES: dict[str, Loss] = {}
LOSSES |= {
    loss.name: loss
    for loss in (
        Loss("squared", lambda f, y: f - y),  # (f - y)^2 / 2
        Loss("logistic", lambda f, y: -y * special.expit(-y * f)),  # log(1 + exp(-y f)), labels -1 and +1
        Loss("huber", lambda f, y: np.clip(f - y, -1, 1)),  # |f - y| beyond 1, quadratic below
        Loss("pseudo_huber", lambda f, y: (f - y) / np.hypot(1, f - y)),  # sqrt(1 + (f - y)^2) - 1
        Loss("hinge", lambda f, y: np.where(y * f < 1, -y, 0 * y)),  # max(0, 1 - y f), labels -1 and +1
        Loss("absolute", lambda f, y: np.sign(f - y)),
    )
}
METRICS: dict[str, Callable[[Array, Array], Array]] = {
    "squared": lambda f, y: np.square(f - y),
    "absolute": lambda f, y: np.abs(f - y),
    "zero_one": lambda f, y: (np.sign(f) != y).astype(float),
    "logistic": lambda f, y: np.logaddexp(0, -y * f),
}
BINARY = ("zero_one", "logistic", "hinge")  # for labels -1 and +1 alone


def require_binary(what: str, name: str, y: Array) -> None:
    """ValueError where labels other than -1 and +1 meet a loss or metric that is made for these."""
    if name in BINARY and not np.all(np.abs(y) == 1):
        raise ValueError(
            f"{what} needs labels -1 and +1; got labels such as {y[np.abs(y) != 1][0]:.6g} (sedyn.scale_target makes "
            "-1 and +1 of any two values; the links 'noisy_sign' and 'logistic' give such labels)"
        )


def as_loss(spec) -> Loss:
    """A registered name, a derivative ``(f, y) -> dl/df``, or a `Loss`, as a `Loss`.

    Raises ValueError or TypeError for anything else.
    """
    if isinstance(spec, Loss):
        return spec
    if isinstance(spec, str):
        if spec not in LOSSES:
            raise ValueError(
                f"unknown loss {shown(spec)}; use one of {', '.join(LOSSES)}, or a function (f, y) that returns the "
                "loss's derivative in f"
            )
        return LOSSES[spec]
    if not callable(spec):
        raise TypeError(
            f"loss must be one of {', '.join(LOSSES)}, or a function (f, y) that returns the loss's derivative in f; "
            f"got {shown(spec)}"
        )
    return Loss(getattr(spec, "__name__", "custom"), spec)


class Metrics:
    """Squared error, then the metrics asked for: their names, and their means over samples.

    ValueError or TypeError is raised for an unknown name, or a callable that does not give one loss per sample.
    """

    def __init__(self, metrics: Sequence[str | Callable] | str | Callable = ()):
        chosen = tuple(metrics) if isinstance(metrics, (tuple, list)) else (metrics,)
        for metric in chosen:
            if isinstance(metric, str) and metric not in METRICS:
                raise ValueError(
                    f"unknown metric {shown(metric)}; use one of {', '.join(METRICS)}, or a function (f, y)"
                )
            if not isinstance(metric, str) and not callable(metric):
                raise TypeError(
                    f"each of metrics must be one of {', '.join(METRICS)}, or a function (f, y) that returns one "
                    f"number per sample; got {shown(metric)}"
                )
            if not isinstance(metric, str):
                takes(metric, "a metric", "f", "y")
        self.names = tuple(m if isinstance(m, str) else getattr(m, "__name__", "custom") for m in chosen)
        self.scorers = [METRICS["squared"], *(METRICS[m] if isinstance(m, str) else m for m in chosen)]

    def validate(self, y: Array) -> None:
        """ValueError where a metric does not fit the labels y."""
        for name, score in zip(self.names, self.scorers[1:], strict=True):
            require_binary(f"the metric {name!r}", name, y)
            try:
                returned = score(np.zeros_like(y), y)
                given = np.asarray(returned)
            except Exception as error:  # whatever a user's function may raise
                raise ValueError(
                    f"the metric {name} raised {type(error).__name__}: {error}; it gets outputs f and labels y of "
                    f"shape {y.shape}"
                ) from error
            if given.shape != y.shape or given.dtype.kind not in "fiub":
                raise ValueError(
                    f"the metric {name} must return one real number per sample, shape {y.shape}; got {shown(returned)}"
                )

    def means(self, residual: Array, y: Array, weight: Array | None = None) -> Array:
        """Mean over samples of every metric, squared error first, for outputs f = y + residual; (1 + metrics,).

        The `weight` (m,) of the samples has mean 1.
        """
        scores = [score(residual + y, y) for score in self.scorers[1:]]
        others = [np.mean(each if weight is None else weight * each, dtype=float) for each in scores]
        weighted = residual if weight is None else weight * residual
        squared = np.einsum("i,i", weighted, residual, dtype=float) / len(residual)
        return np.array([squared, *others])
