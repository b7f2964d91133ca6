"""Losses, which training follows, and metrics, which only measure; both act on outputs f and labels y.

Both are (N,) for one output and (c, N) for c > 1 of them (theory 11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy import special

from ..common import Array, Noun, elementwise, shown, takes
from .kinks import POINTS, jumps
from .labels import require_labels, sum_outputs

FEW = 3  # outputs, among which a loss that sees all of them is tried, unless their number is known


@dataclass(frozen=True, eq=False, repr=False)
class Loss(Noun):
    """A loss l(f, y) by its derivative in the output f, which is all that training needs; it may jump.

    Of several outputs each has this loss, and they add up. A `joint` loss sees all outputs of a sample together: f and
    y have shape (.., c, N), outputs along the axis -2, and so has the derivative.

    Examples
    --------
    >>> import sedyn
    >>> from scipy.special import softmax
    >>> smoothed = sedyn.Loss("smoothed", lambda f, y: softmax(f, axis=-2) - (0.9 * y + 0.1 / f.shape[-2]), joint=True)
    >>> sedyn.Training(0.5, 30, loss=smoothed).loss.joint
    True
    """

    name: str
    derivative: Callable[[Array, Array], Array]
    joint: bool = False

    def __post_init__(self):
        if not isinstance(self.name, str):
            raise TypeError(f"the name of a Loss must be text; got {shown(self.name)}")
        if not callable(self.derivative):
            raise TypeError(f"a Loss needs a function (f, y), its derivative in f; got {shown(self.derivative)}")
        if not isinstance(self.joint, (bool, np.bool_)):
            raise TypeError(f"joint must be True or False; got {shown(self.joint)}")
        takes(self.derivative, "the derivative of a loss", "f", "y")
        if not self.joint:  # or once the number of outputs is known
            elementwise(self.derivative, "the derivative of a loss", POINTS, np.sign(POINTS))

    def __reduce__(self):  # as that of an activation
        if LOSSES.get(self.name) is self:
            return as_loss, (self.name,)
        return Loss, (self.name, self.derivative, self.joint)

    @cached_property
    def kink(self) -> float | None:
        """An output where the derivative jumps, for some label; None where there is none."""
        return self.kink_among(FEW)

    def kink_among(self, n_outputs: int) -> float | None:
        """The same in a network of so many outputs; those seen together are moved one by one, the others held fixed."""
        if not self.joint:
            slopes = [partial(self._slope, y) for y in (-1.0, 1.0, 0.0, 0.37)]
        elif n_outputs == 1:  # refused as such
            slopes = []
        else:
            pairs = np.ndindex(n_outputs, min(n_outputs, FEW))
            slopes = [partial(self._slope_along, output, label, n_outputs) for output, label in pairs]
        return next((at for at in map(jumps, slopes) if at is not None), None)

    def _slope(self, y: float, f: Array) -> Array:
        return self.derivative(f, np.full_like(f, y))

    def _slope_along(self, output: int, label: int, n_outputs: int, f: Array) -> Array:
        others = np.linspace(-0.7, 0.4, n_outputs)
        outputs, labels = (np.repeat(column[:, None], len(f), axis=1) for column in (others, np.eye(n_outputs)[label]))
        outputs[output] = f
        return self.derivative(outputs, labels)[output]

    def validate(self, y: Array) -> None:
        """ValueError where it does not fit the labels y."""
        require_labels(f"the loss {self.name!r}", self.name, y)
        if self.joint:
            if y.ndim == 1:
                raise ValueError(
                    f"the loss {self.name!r} sees several outputs together (joint=True), and the network has one; give "
                    "it widths that end in their number"
                )
            elementwise(self.derivative, f"the derivative of the loss {self.name!r}", np.zeros_like(y), y)


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
        # -<y, log softmax(f)>, labels one-hot or probabilities
        Loss("cross_entropy", lambda f, y: special.softmax(f, axis=-2) - y, joint=True),
    )
}
METRICS: dict[str, Callable[[Array, Array], Array]] = {
    "squared": lambda f, y: sum_outputs(np.square(f - y)),
    "absolute": lambda f, y: sum_outputs(np.abs(f - y)),
    "zero_one": lambda f, y: (
        (
            np.sign(f) != y
            if f.ndim == 1
            else f.argmax(axis=0) != y.argmax(axis=0)  # of several, the largest is the answer
        ).astype(float)
    ),
    "logistic": lambda f, y: sum_outputs(np.logaddexp(0, -y * f)),
    "cross_entropy": lambda f, y: special.logsumexp(f, axis=0) - (y * f).sum(axis=0),
}


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
            require_labels(f"the metric {name!r}", name, y)
            try:
                returned = score(np.zeros_like(y), y)
                given = np.asarray(returned)
            except Exception as error:  # whatever a user's function may raise
                raise ValueError(
                    f"the metric {name} raised {type(error).__name__}: {error}; it gets outputs f and labels y of "
                    f"shape {y.shape}"
                ) from error
            if given.shape != y.shape[-1:] or given.dtype.kind not in "fiub":
                raise ValueError(
                    f"the metric {name} must return one real number per sample, shape {y.shape[-1:]}; got "
                    f"{shown(returned)}"
                )

    def means(self, residual: Array, y: Array, weight: Array | None = None) -> Array:
        """Mean over samples of every metric, squared error first, for outputs f = y + residual; (1 + metrics,).

        The `weight` (m,) of the samples has mean 1.
        """
        scores = [score(residual + y, y) for score in self.scorers[1:]]
        others = [np.mean(each if weight is None else weight * each, dtype=float) for each in scores]
        weighted = residual if weight is None else weight * residual
        squared = np.einsum("i,i", weighted.ravel(), residual.ravel(), dtype=float) / residual.shape[-1]
        return np.array([squared, *others])
