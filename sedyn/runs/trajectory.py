"""A training run, recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..common import Array, Result, brief, counted, first_and_last, integer, numbers, shown
from ..model import Recording, Small, Weights


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Result):
    """One training run. T' <= T is the last step reached (T' = T unless `status` says otherwise).

    Attributes
    ----------
    train_error : (T'+1,)
        Mean squared error on the training rows, t = 0..T'.
    deep_weights : tuple of (T'+1, fan_in, fan_out)
        W_2, .., W_L at every step.
    biases : tuple of (T'+1, width)
        b_1, .., b_L at every step, of a network that has them.
    generalization_error : (T'+1,) or None
        Mean squared error on the test rows, when they were given.
    estimated_error, estimated_stderr : (T'+1,) or None
        Generalization error estimated from the training rows alone, and its standard error
        (`augmented_gradient_descent`).
    metrics : tuple of str
        Names of the further error metrics asked for.
    train_metrics, generalization_metrics, estimated_metrics, estimated_metrics_stderr : array or None
        The same for these, (T'+1, number of metrics).
    best_step : int or None
        The step of least estimated error (or metric, `monitor`), out of those before training became unsteady, if it
        did (`warnings`).
    left_out : (m,) or None
        Outputs for the training rows at that step, as if each (with its group) had not been trained on (theory 5).
    stopped_first : (n_features, q) or None
        W_1 at that step.
    first_weights : (len(first_weights_at), n_features, q) or None
        W_1 at the chosen steps.
    preactivations : (len(preactivations_at), m, q) or None
        X W_1 at the chosen steps.
    first_weights_at, preactivations_at : tuple of int
        The steps kept.
    final : Weights
        All weights at step T'.
    status : str
        ``"ok"``, ``"diverged"``, ``"interrupted"`` or ``"inaccurate"``.
    message : str
        What happened and what to do, empty when all went well.
    warnings : tuple of str
        Assumptions of the estimate that the data seem to violate (`augmented_gradient_descent`).
    n_groups : int or None
        Number of independent groups of rows, m where no rows belong together (`augmented_gradient_descent`).
    """

    train_error: Array
    deep_weights: tuple[Array, ...]
    final_first: Array
    biases: tuple[Array, ...] = ()
    generalization_error: Array | None = None
    estimated_error: Array | None = None
    estimated_stderr: Array | None = None
    metrics: tuple[str, ...] = ()
    train_metrics: Array | None = None
    generalization_metrics: Array | None = None
    estimated_metrics: Array | None = None
    estimated_metrics_stderr: Array | None = None
    best_step: int | None = None
    left_out: Array | None = None
    stopped_first: Array | None = None
    first_weights: Array | None = None
    preactivations: Array | None = None
    first_weights_at: tuple[int, ...] = ()
    preactivations_at: tuple[int, ...] = ()
    status: str = "ok"
    message: str = ""
    warnings: tuple[str, ...] = ()
    n_groups: int | None = None

    def _summary(self):
        n_features, n_neurons = self.final_first.shape
        rows = {
            "steps": f"{len(self.train_error) - 1}, {counted(n_features, 'feature')}, {counted(n_neurons, 'neuron')}",
            "train_error": first_and_last(self.train_error),
        }
        if self.generalization_error is not None:
            rows["generalization_error"] = first_and_last(self.generalization_error)
        if self.estimated_error is not None:
            rows["estimated_error"] = first_and_last(self.estimated_error, self.estimated_stderr)
            rows["best_step"] = f"{self.best_step}, estimated error {self.estimated_error[self.best_step]:.4g}"
        rows |= {"metrics": brief(self.metrics)} if self.metrics else {}
        rows["deep_weights"] = brief(self.deep_weights)
        if self.first_weights_at:
            rows["first_weights"] = f"at {counted(len(self.first_weights_at), 'step')}"
        return (
            rows | self._status() | ({"warnings": f"{len(self.warnings)}; {self.warnings[0]}"} if self.warnings else {})
        )

    @property
    def final(self) -> Weights:
        """The weights at the last step, ready for `Network.predict`."""
        return self._weights(self.final_first, -1)

    @property
    def stopped(self) -> Weights:
        """The weights at `best_step`. Raises ValueError when there is no estimate."""
        if self.stopped_first is None or self.best_step is None:
            raise ValueError("this run has no estimated error; train with sedyn.augmented_gradient_descent")
        return self._weights(self.stopped_first, self.best_step)

    def weights_at(self, t: int) -> Weights:
        """The weights at step t. Raises ValueError when W_1 was not kept there (`first_weights_at`)."""
        t, last = integer(t, "t", 0), len(self.train_error) - 1
        if t > last:
            raise ValueError(f"t must be a step of this run, 0..{last}; got {t}")
        if self.first_weights is None or t not in self.first_weights_at:
            kept = f"steps {shown(self.first_weights_at)}" if self.first_weights_at else "no step"
            raise ValueError(f"W_1 was kept at {kept}; to have it at t = {t} train with {t} in first_weights_at")
        return self._weights(self.first_weights[self.first_weights_at.index(t)], t)

    def _weights(self, first: Array, t: int) -> Weights:
        return Weights(first, tuple(W[t] for W in self.deep_weights), tuple(b[t] for b in self.biases))


@dataclass
class State:
    """State of gradient descent at step t, before the update."""

    t: int
    first: Array  # W_1, (n, q)
    small: Small
    u: Array  # preactivations of the training rows, without bias, (q, m)
    S: Array  # d loss / d u, (q, m), times the weights of the sample and of the batch
    residual: Array  # f - y, (m,)
    batch: Array | None = None  # weight of each row in the batch, (m,)


class Recorder(Recording):
    """Collects a run into a `Trajectory`."""

    def __init__(self, network, rule, y, test, metrics, first_weights_at=(), preactivations_at=(), sample_weight=None):
        super().__init__(rule, metrics, y, sample_weight)
        self.network, self.test = network, test
        self.first_at = chosen_steps(first_weights_at, rule.n_steps, "first_weights_at")
        self.pre_at = chosen_steps(preactivations_at, rule.n_steps, "preactivations_at")
        self.general, self.first, self.pre = [], [], []
        self.last: Any = None

    def record(self, state: State) -> bool:
        """Take in one state; False when training has diverged and must end."""
        if self.test is not None:
            X_test, y_test = self.test
            error = self.network.output((X_test @ state.first).T, state.small) - y_test
            self.general.append(self.metrics.means(error, y_test))
        if not self.record_step(state.residual, state.small, state.first):
            if not self.train:
                raise ValueError(
                    "the training error is not a finite number at the initial weights; "
                    "lower the scale of weights, X or y"
                )
            return False
        if state.t in self.first_at:
            self.first.append(state.first)
        if state.t in self.pre_at:
            self.pre.append(state.u.T)
        self.last = state.first
        return True

    def interrupt(self) -> None:
        if not self.train:  # nothing to keep
            raise KeyboardInterrupt
        super().interrupt()

    def trajectory(self, **more) -> Trajectory:
        reached = min(len(self.train), len(self.small))
        small = Small.stacked(self.small[:reached])
        train, general = np.array(self.train[:reached]), np.array(self.general[:reached])
        names, tested = self.metrics.names, self.test is not None
        return Trajectory(
            train_error=train[:, 0],
            deep_weights=small.deep,
            biases=small.biases,
            final_first=self.last,
            generalization_error=general[:, 0] if tested else None,
            metrics=names,
            train_metrics=train[:, 1:] if names else None,
            generalization_metrics=general[:, 1:] if tested and names else None,
            first_weights=np.stack(self.first) if self.first else None,
            preactivations=np.stack(self.pre) if self.pre else None,
            first_weights_at=tuple(t for t in self.first_at if t < reached),
            preactivations_at=tuple(t for t in self.pre_at if t < reached),
            status=self.status,
            message=self.message,
            **more,
        )


def chosen_steps(steps, n_steps, name) -> tuple[int, ...]:
    if isinstance(steps, str) and steps == "all":
        return tuple(range(n_steps + 1))
    given = numbers(list(steps) if isinstance(steps, (range, set)) else steps)
    if given.ndim != 1 or not np.all((given >= 0) & (given <= n_steps) & (given == given.round())):
        raise ValueError(f"{name} must be 'all' or a sequence of steps in 0..{n_steps}; got {shown(steps)}")
    return tuple(sorted({int(t) for t in given}))
