"""A training run, recorded."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..common import Array, Result, brief, counted, first_and_last, integer, number, shown
from ..model import Network, Recording, Small, Weights, chosen_steps
from .intervals import IntervalAccuracy, Width, accuracy, conformal_quantile


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
    monitor : str
        What `best_step` is the least of: ``"squared"``, or a metric.
    left_out_outputs : (m,), (m, c) or None
        Outputs for the training rows at that step, as if each (with its group) had not been trained on (theory 5).
    left_out_kept : (len(first_weights_at), m), (.., m, c) or None
        The same at the chosen steps.
    labels, sample_weight : (m,) or None
        Those of the training rows of such a run; labels of c > 1 outputs are (m, c), one-hot for classes.
    network : Network or None
        The network of such a run, for its intervals; a file does not keep one with activations of one's own.
    feature_pvalues : (n_features,) or None
        P-value of every feature: uniform for those on which the labels do not depend (theory 9).
    feature_statistics : (n_features, q) or None
        What they come from: independent and standard Gaussian for such features. Last columns are 0 where neurons do
        so much alike that fewer combinations of them can be tested.
    feature_effects, feature_effects_stderr : (n_features,) or None
        Effect of every feature along the direction that they share, upwards with the labels (of several outputs, with
        that which effects follow most): like a coefficient of a regression, in units of the noise of one row; and its
        standard error.
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
    monitor: str = "squared"
    left_out_outputs: Array | None = None
    left_out_kept: Array | None = None
    labels: Array | None = None
    sample_weight: Array | None = None
    network: Network | None = None
    feature_pvalues: Array | None = None
    feature_statistics: Array | None = None
    feature_effects: Array | None = None
    feature_effects_stderr: Array | None = None
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

    def prediction_interval(self, X_new: Array, level: float = 0.9, *, step: int | None = None, adaptive: bool = False):
        """Intervals that cover the labels of new rows with probability `level`, from the training rows alone.

        f(x) -+ the ceil(level (m + 1))-th smallest of |label - left-out output| (theory 8): valid at any step, after
        any number of steps, for m < n too, up to O(m^(-1/2)); `interval_accuracy` says what one run leaves open.

        Parameters
        ----------
        X_new : (rows, n_features) array
        level : float
            Between 0 and 1. Above m / (m + 1), or with G groups G / (G + 1), the intervals are infinite.
        step : int, optional
            `best_step` by default; or a step of `first_weights_at`.
        adaptive : bool
            Widths that follow the output: residuals are compared with those of rows of like outputs. For noise that
            depends on the signal; with few rows constant width is safer.

        Returns
        -------
        (rows, 2) array
            Lower and upper ends.

        Raises
        ------
        ValueError
            When the run has no left-out outputs (`augmented_gradient_descent`) or none at that step, for several
            outputs (`prediction_set`), and for rows that do not fit or a level out of range.

        Examples
        --------
        >>> import numpy as np, sedyn
        >>> network, signal = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.random_signal(80, rng=0)
        >>> X, y = sedyn.SingleIndex("tanh", 0.3).sample(300, signal, rng=1)
        >>> run = sedyn.augmented_gradient_descent(network, sedyn.Training(0.2, 10), network.init(80, rng=2), X, y)
        >>> X_new, y_new = sedyn.SingleIndex("tanh", 0.3).sample(2000, signal, rng=3)
        >>> low, high = run.prediction_interval(X_new, level=0.9).T
        >>> bool(0.85 < np.mean((low <= y_new) & (y_new <= high)) < 0.95)
        True
        """
        level = number(level, "level", "lie between 0 and 1", lambda x: 0 < x < 1)
        weights, left_out = self._kept(step)
        scores, width = self._scores(left_out, adaptive)
        f = self._predict(weights, X_new)
        half = conformal_quantile(scores, level, self.sample_weight, self.n_independent) * (
            1.0 if width is None else width.at(f)
        )
        return np.stack([f - half, f + half], axis=1)

    def prediction_set(self, X_new: Array, level: float = 0.9, *, step: int | None = None) -> Array:
        """Which classes new rows may have: the true one is among them with probability `level`.

        As `prediction_interval`, with a margin in the place of the residual: -label * output of labels -1 and +1; with
        an output for each class, the largest of the others less that of the class (theory 11). Returns a
        (rows, classes) array of bool, for -1 and +1, or for 0..c-1; several where the margins are small, none where a
        low level asks for more than they show. Raises ValueError as `prediction_interval`, and for labels that are no
        classes.

        Examples
        --------
        >>> import numpy as np, sedyn
        >>> network, signal = sedyn.Network((2, 1), ("tanh", "identity")), sedyn.random_signal(80, rng=0)
        >>> teacher = sedyn.SingleIndex(lambda z: np.where(z > 0, 1.0, -1.0), 0.0)
        >>> X, y = teacher.sample(300, signal, rng=1)
        >>> training = sedyn.Training(0.5, 10, loss="logistic")
        >>> run = sedyn.augmented_gradient_descent(network, training, network.init(80, rng=2), X, y)
        >>> X_new, y_new = teacher.sample(2000, signal, rng=3)
        >>> found = run.prediction_set(X_new, level=0.9)
        >>> bool(0.85 < np.mean(found[np.arange(2000), (y_new > 0).astype(int)]) < 0.95)
        True
        """
        level = number(level, "level", "lie between 0 and 1", lambda x: 0 < x < 1)
        weights, left_out = self._kept(step)
        assert self.labels is not None
        if self.labels.ndim == 2:
            own = self.labels == 1
            if not (np.all(own.sum(axis=1) == 1) and np.all(own | (self.labels == 0))):
                raise ValueError("prediction sets are for classes; this run's labels are other numbers")
        elif np.all(np.abs(self.labels) == 1):
            own = np.stack([self.labels < 0, self.labels > 0], axis=1)
        else:
            raise ValueError("prediction sets are for labels -1 and +1; this run has others, use prediction_interval")
        scores = _margins(left_out)[own]
        most = conformal_quantile(scores, level, self.sample_weight, self.n_independent)
        return _margins(self._predict(weights, X_new)) <= most

    def interval_accuracy(
        self, level: float = 0.9, *, step: int | None = None, adaptive: bool = False
    ) -> IntervalAccuracy:
        """What one run leaves open about its intervals of that level: their width, and its and the coverage's spread.

        Over runs the coverage has a standard deviation of at most about 1.5 sqrt(level (1 - level) / m), measured
        (theory 8); rows of one group count once. Raises ValueError as `prediction_interval`.
        """
        level = number(level, "level", "lie between 0 and 1", lambda x: 0 < x < 1)
        scores, width = self._scores(self._kept(step)[1], adaptive)
        scores = scores * (1.0 if width is None else width.widths.mean())
        return accuracy(scores, level, self.sample_weight, self.n_independent or len(scores))

    @property
    def monitored(self) -> tuple[Array, Array, Array]:
        """Training error, its estimate on fresh rows, and the standard error of that, of what `monitor` names, (T'+1,)
        each. Raises ValueError when there is no estimate."""
        if self.estimated_error is None or self.estimated_stderr is None:
            raise ValueError("this run has no estimated error; train with sedyn.augmented_gradient_descent")
        if self.monitor == "squared":
            return self.train_error, self.estimated_error, self.estimated_stderr
        at = self.metrics.index(self.monitor)
        curves = self.train_metrics, self.estimated_metrics, self.estimated_metrics_stderr
        train, estimated, stderr = (curve[:, at] for curve in curves if curve is not None)
        return train, estimated, stderr

    @property
    def n_independent(self) -> float | None:
        """Number of training rows, of groups, or of rows that such weights are worth; None without an estimate."""
        if self.labels is None:
            return None
        w = np.ones(len(self.labels)) if self.sample_weight is None else self.sample_weight.astype(float)
        return float(min(w.sum() ** 2 / (w @ w), self.n_groups or len(w)))

    def save(self, path):
        if self.network is not None and not all(isinstance(a, str) for a in self.network.activations):
            return dataclasses.replace(self, network=None).save(path)  # a file holds no functions
        return super().save(path)

    save.__doc__ = Result.save.__doc__

    def _kept(self, step: int | None) -> tuple[Weights, Array]:
        stopped = self.stopped  # or there is no estimate
        assert self.left_out_outputs is not None
        step = None if step is None else integer(step, "step", 0)
        if step is None or step == self.best_step:
            return stopped, self.left_out_outputs
        weights = self.weights_at(step)
        assert self.left_out_kept is not None
        return weights, self.left_out_kept[self.first_weights_at.index(int(step))]

    def _predict(self, weights: Weights, X_new: Array) -> Array:
        if self.network is None:
            raise ValueError("this run was read from a file that could not keep its network; train again for intervals")
        return self.network.predict(weights, X_new)

    def _scores(self, left_out: Array, adaptive: bool) -> tuple[Array, Width | None]:
        assert self.labels is not None
        if left_out.ndim == 2:
            raise ValueError(
                f"intervals are for networks of one output; this one has {left_out.shape[1]}, use prediction_set for "
                "its classes"
            )
        sizes = np.abs(self.labels - left_out)
        if not adaptive:
            return sizes, None
        width = Width(left_out, sizes)
        return sizes / width.left_out, width

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
    residual: Array  # f - y, (m,), or (c, m) of several outputs
    batch: Array | None = None  # weight of each row in the batch, (m,)
    gradient: Array | None = None  # of the mean loss in W_1, (q, n), where the first layer is to move


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


def _margins(f: Array) -> Array:
    """By how much each class falls short of the best other one, (rows, classes), for outputs (rows,) or (rows, c)."""
    if f.ndim == 1:
        return np.stack([f, -f], axis=1)
    order = np.sort(f, axis=1)
    largest, second = order[:, -1:], order[:, -2:-1]
    at_top = np.arange(f.shape[1]) == f.argmax(axis=1)[:, None]
    return np.where(at_top, second, largest) - f
