"""Recording of errors and small weights, step by step, of a run or of a solution of the theory."""

from __future__ import annotations

import numpy as np

from ..common import numbers, shown
from .labels import sum_outputs
from .losses import Metrics
from .network import Small
from .training import Rule

# Training counts as diverged once the training error exceeds this multiple of its scale at the start.
DIVERGENCE_FACTOR = 1e6
# So it does with larger weights, which a saturated output can hide until they overflow.
LARGEST_WEIGHT = 1e12


class Recording:
    """Errors and small weights of a run or a solution, kept step by step, so that stopping early loses nothing.

    ValueError is raised where the loss or a metric does not fit the labels.
    """

    def __init__(self, rule: Rule, metrics: Metrics, labels: np.ndarray, sample_weight: np.ndarray | None = None):
        metrics.validate(labels)
        rule.loss.validate(labels)
        self.n_steps, self.metrics, self.labels, self.sample_weight = rule.n_steps, metrics, labels, sample_weight
        self.train: list[np.ndarray] = []  # squared error, then the metrics
        self.small: list[Small] = []
        self.status, self.message = "ok", ""

    def record_step(self, residual: np.ndarray, small: Small, first: np.ndarray) -> bool:
        """Take in the residuals f - y and all weights of one step, `first` being W_1 or its loadings; False when
        training has diverged."""
        train, t = self.metrics.means(residual, self.labels, self.sample_weight), len(self.train)
        largest = max(np.abs(W).max(initial=0.0) for W in (first, *small.deep, *small.biases))
        if not t:
            bound = DIVERGENCE_FACTOR * (train[0] + float(np.mean(sum_outputs(np.square(self.labels)))) + 1e-300)
            self._bound = min(np.finfo(float).max, bound)  # infinity and NaN are beyond every bound
            self._largest = LARGEST_WEIGHT * max(1.0, largest)
        if not (train[0] <= self._bound and largest <= self._largest):
            self.diverge(t, f"training error {train[0]:.3g}, largest weight {largest:.3g}")
            return False
        for name, value in zip(self.metrics.names, train[1:], strict=True):
            if not np.isfinite(value) and self.status == "ok":
                self.status = "inaccurate"
                self.message = f"the metric {name} is not a finite number at step {t}; look at what its function does"
        self.train.append(train)
        self.small.append(small)
        return True

    def diverge(self, t: int, what: str) -> None:
        """Say that the recording ends before step t, and why."""
        self.status = "diverged"
        self.message = (
            f"training diverged at step {t} ({what}): the arrays end at step {t - 1}; "
            "lower step_size or the scale of the initial weights"
        )

    def interrupt(self) -> None:
        """Say that the recording ends here."""
        last = len(self.train) - 1
        self.status, self.message = "interrupted", f"interrupted: the arrays end at step {last} of {self.n_steps}"


def chosen_steps(steps, n_steps, name) -> tuple[int, ...]:
    """Steps at which something is kept, in order; ValueError for anything but "all" or steps in 0..n_steps."""
    if isinstance(steps, str) and steps == "all":
        return tuple(range(n_steps + 1))
    given = numbers(list(steps) if isinstance(steps, (range, set)) else steps)
    if given.ndim != 1 or not np.all((given >= 0) & (given <= n_steps) & (given == given.round())):
        raise ValueError(f"{name} must be 'all' or a sequence of steps in 0..{n_steps}; got {shown(steps)}")
    return tuple(sorted({int(t) for t in given}))
